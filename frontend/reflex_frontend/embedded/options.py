"""What a caller says to an embedded Triton, and what it hears back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reflex_frontend.embedded.device import DeviceInUse

__all__ = ["EmbeddedOptions", "TritonEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """How to run Triton. Only the models in `models` are loaded; an ensemble brings its components with it."""

    model_repository: Path
    models: tuple[str, ...]
    tolerates_broken_models: bool = False
    """Whether Triton goes on when one of them cannot be loaded."""
    keeps_ensembles: bool = False
    """Whether each model of an ensemble has a process of its own, and can be asked by itself."""
    device: DeviceInUse = field(default_factory=DeviceInUse)
    """What the models compute on; the processor unless somebody chose."""
    threads: int | None = None
    """Threads of one model instance; None leaves one of the usable cores to the frontend."""
    log_path: Path | None = None
    """Triton's whole log is appended here; None keeps only the last lines, in memory."""
    log_verbosity: int = 0
    exit_timeout_s: int = 5
    """How long Triton itself waits for requests in flight after SIGTERM."""
    restart_delay_s: float = 0.25
    """Delay before the first restart; doubles with every further one."""
    restart_delay_max_s: float = 5.0
    healthy_after_s: float = 30.0
    """A process that ran this long starts the delays afresh when it dies."""
    max_failed_starts: int | None = None
    """Give up after so many starts in a row that never got to serving; None retries for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonEvent:
    """One thing that happened to the child process; `message` is a sentence for a person.

    started: the process runs, `pid` is set. exited: it ended without being asked, restart in `restart_in_s`.
    hung: the caller reported a hang, it is being killed. gave_up: no further restart. stopped: `stop` has finished.
    """

    kind: Literal["started", "exited", "hung", "gave_up", "stopped"]
    message: str
    pid: int | None = None
    exit_code: int | None = None
    """As `subprocess` has it: negative is the number of the signal."""
    restart_in_s: float | None = None
    log_tail: tuple[str, ...] = ()
    """The last telling lines of Triton's log, oldest first."""
