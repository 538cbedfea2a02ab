"""`hardware.kind: subprocess`: commands of the user's, in any language, that observe and apply."""

from __future__ import annotations

import logging
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from reflex.connector import ActionChunk, Connector, Observation
from reflex.errors import SetupError
from reflex.processes.family import Family
from reflex_runner.config.strict import parse_section
from reflex_runner.connectors.commands import rescue
from reflex_runner.connectors.commands.answers import parse_observation, refuse_unknown
from reflex_runner.connectors.commands.command import STOP_GRACE_S, Command, Launch
from reflex_runner.connectors.commands.sender import Sender
from reflex_runner.errors import HardwareError

__all__ = ["CommandRobot", "SubprocessSettings", "build"]

logger = logging.getLogger("reflex.commands")

SAFE_STOP_PATIENCE_S: Final = 0.3
"""How long a safe stop waits for what is being applied, before it kills that: it would move the robot later."""
Timeout = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Line = Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]
"""As typed in a shell (which does not run it), or as a list of the program and its arguments."""


@dataclass(frozen=True, slots=True)
class SubprocessSettings:
    """What stands beside `kind: subprocess`."""

    observe: Line
    apply: Line
    safe_stop: Line | None = None
    persistent: bool = False
    """One process of each command answers all requests; equal commands share one."""
    command_timeout_s: Timeout = 2.0
    """From a request to its line, and for a process of one request to its end."""
    start_timeout_s: Timeout = 30.0
    """From the start of a persistent process to its answer to `start`."""
    state_dim: Annotated[int, Field(ge=1)] | None = None
    """Numbers in a state; by default those of the first one."""


def build(cfg: Mapping[str, Any], folder: Path) -> Connector:
    """The commands run in `folder`, that of robot.yaml."""
    settings = parse_section(SubprocessSettings, cfg, "hardware")
    lines = {"observe": settings.observe, "apply": settings.apply, "safe_stop": settings.safe_stop}
    argvs = {name: _argv(line, name, folder) for name, line in lines.items() if line is not None}
    return CommandRobot(argvs, settings, folder)


class CommandRobot:
    """The five methods of a connector, each a request to one of the commands."""

    def __init__(
        self,
        argvs: Mapping[str, tuple[str, ...]],
        settings: SubprocessSettings,
        folder: Path,
        start_request: Callable[[bool], Mapping[str, Any]] = lambda _was_applied: {},
        *,
        called: str = "",
        end_s: float = STOP_GRACE_S,
    ) -> None:
        self._called = called
        self._end_s = end_s
        self._settings = settings
        self._folder = folder
        self._family = Family()
        self._commands = self._made(argvs, start_request)
        self._sender = Sender(self._apply)
        self._state_dim = settings.state_dim

    def _made(
        self, argvs: Mapping[str, tuple[str, ...]], start_request: Callable[[bool], Mapping[str, Any]]
    ) -> dict[str, Command]:
        """Equal commands that stay are one process: what owns a bus can be asked for everything."""
        shared: dict[tuple[str, ...], Command] = {}
        made = {}
        for name, argv in argvs.items():
            stays = self._settings.persistent
            launch = Launch(
                argv, self._folder, self._family, stays, self._settings.start_timeout_s, start_request, self._end_s
            )
            made[name] = shared.setdefault(argv, Command(launch)) if stays else Command(launch)
        return made

    @property
    def started(self) -> Mapping[str, Any]:
        """What the process that observes answered to `start`."""
        return self._commands["observe"].started

    def watch_handle(self) -> dict[str, Any] | None:
        """How another process stops this robot when this one was killed; None without a safe_stop command."""
        command = self._commands.get("safe_stop")
        if command is None:
            return None
        arguments = {
            "mark": self._family.mark,
            "argv": list(command.launch.argv),
            "folder": str(self._folder),
            "persistent": self._settings.persistent,
            "command_timeout_s": self._settings.command_timeout_s,
            "start_timeout_s": self._settings.start_timeout_s,
        }
        return {"function": f"{rescue.__name__}:stop_robot", "arguments": arguments}

    def start(self) -> None:
        """Processes that stay are started and ready. One that is killed with this process leaves nothing either."""
        self._family.watch()
        for name, command in self._commands.items():
            command.start(self._called + name)

    def get_observation(self) -> Observation:
        """Ask the observe command. Raises what went wrong with `apply` since, too."""
        self._sender.raise_failure()
        asked_s = time.monotonic()
        answer = self._ask("observe", {"op": "observe"})
        observation = parse_observation(
            answer,
            f"{self._called}observe",
            asked_s=asked_s,
            now_s=time.monotonic(),
            state_dim=self._state_dim,
            folder=self._folder,
        )
        self._state_dim = len(observation.state)
        return observation

    def apply_action(self, chunk: ActionChunk) -> None:
        """Returns at once; what goes wrong is raised by the next call."""
        if not np.isfinite(chunk.actions).all():
            raise HardwareError("A command for the robot is not finite, and is not sent")
        self._sender.put(chunk)

    def safe_stop(self, reason: str = "") -> None:
        """Nothing more is applied; the safe_stop command, if there is one, is asked even when the others hang."""
        self._sender.drop()
        apply, safe_stop = self._commands["apply"], self._commands.get("safe_stop")
        apply.interrupt(self._settings.command_timeout_s if apply is safe_stop else SAFE_STOP_PATIENCE_S)
        if "safe_stop" in self._commands:
            refuse_unknown(self._ask("safe_stop", {"op": "safe_stop", "reason": reason}), f"{self._called}safe_stop")
        else:
            logger.warning("there is no safe_stop command: the robot keeps the last command that it was sent")

    def stop(self) -> None:
        """Every process that the commands have started is ended."""
        self._sender.drop()
        for command in self._distinct():
            command.end()
        self._sender.end()
        self._family.end()

    def _apply(self, chunk: ActionChunk, is_wanted: Callable[[], bool]) -> None:
        fields = {"op": "apply", "actions": chunk.actions.tolist(), "step_s": chunk.step_s}
        timeout_s = self._settings.command_timeout_s
        answer = self._commands["apply"].ask(f"{self._called}apply", fields, timeout_s, is_wanted)
        refuse_unknown(answer, f"{self._called}apply")

    def _ask(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return self._commands[name].ask(self._called + name, fields, self._settings.command_timeout_s)

    def _distinct(self) -> Iterable[Command]:
        return dict.fromkeys(self._commands.values())


def _argv(line: str | list[str], name: str, folder: Path) -> tuple[str, ...]:
    """Its program is there and may be run, so that this is known before anything is started."""
    try:
        argv = shlex.split(line) if isinstance(line, str) else line
    except ValueError as exc:
        raise SetupError(f"hardware.{name}: {exc}: {line}") from exc
    if not argv or not argv[0] or any("\0" in part for part in argv):
        raise SetupError(f"hardware.{name}: no program is named")
    program = str(folder / argv[0]) if "/" in argv[0] else argv[0]
    if shutil.which(program) is None:
        raise SetupError(
            f"hardware.{name}: no program {argv[0]!r} that can be run, on PATH or from {folder}; "
            "for a script without a first line #! and the right to run, name its interpreter: python3 my_arm.py"
        )
    return tuple(argv)
