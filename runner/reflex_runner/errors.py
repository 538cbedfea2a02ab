"""What goes wrong at the robot. What is wrong in a file of settings is `reflex.errors.SetupError`, as everywhere.

ReflexError
└── RunnerError            the run cannot begin or go on
    ├── HardwareError      a robot, a bus or a camera does not do what it must
    ├── NoPicturesError    this machine cannot draw what simulated cameras see
    └── PreflightError     settings, machine, robot, server and session do not fit each other
"""

from __future__ import annotations

from reflex.errors import ReflexError

__all__ = ["HardwareError", "NoPicturesError", "PreflightError", "RunnerError", "code_of"]


class RunnerError(ReflexError):
    """The run cannot begin or go on."""

    code = "runner_error"


class HardwareError(RunnerError):
    """A robot, a bus or a camera does not do what it must; the message says which part, and what to do."""

    code = "hardware_error"


class NoPicturesError(RunnerError):
    """This machine cannot draw what simulated cameras see; the message names what to install."""

    code = "no_pictures"


class PreflightError(RunnerError):
    """Settings, machine, robot, server and session do not fit each other; the message has a line for each failure."""

    code = "preflight"
    raised = "set-up"


def code_of(error: BaseException, otherwise: str) -> str:
    """An error's of ours; what others call `code` is an exit code, or a status of HTTP."""
    return error.code if isinstance(error, ReflexError) else otherwise
