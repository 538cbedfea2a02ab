"""`hardware.kind: lerobot:<robot type>`: any robot that an installed LeRobot can drive, in a process of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from reflex.connector import Connector
from reflex.errors import SetupError
from reflex_runner.config.strict import parse_section
from reflex_runner.connectors.commands import lerobot_helper, rescue
from reflex_runner.connectors.subprocess import CommandRobot, SubprocessSettings, Timeout

__all__ = ["LerobotSettings", "build"]

CALLED: Final = "LeRobot "
END_S: Final = 5.0
"""LeRobot gives cameras and buses back one after the other."""
OWN_END_S: Final = 1.5
"""Of a process whose run was killed."""


@dataclass(frozen=True, slots=True)
class LerobotSettings:
    """What stands beside `kind: lerobot:...`."""

    robot: Mapping[str, Any] = field(default_factory=dict)
    """LeRobot's own settings of this robot: port, id, cameras, as after `--robot.`."""
    python: Annotated[str, Field(min_length=1)] = sys.executable
    """The Python that LeRobot is installed in; by default this one."""
    state: list[str] | None = None
    """Names of the state, in the policy's order; by default all numbers that LeRobot observes, in its order."""
    actions: list[str] | None = None
    command_timeout_s: Timeout = 2.0
    start_timeout_s: Timeout = 120.0
    """LeRobot imports torch, which takes half a minute on a small computer."""


class LerobotRobot(CommandRobot):
    """One process owns the robot, and is asked for everything."""

    def watch_handle(self) -> dict[str, Any] | None:
        """Its process commands the measured pose when its stdin ends; another has to see only that it does."""
        arguments = {"mark": self._family.mark, "within_s": OWN_END_S}
        return {"function": f"{rescue.__name__}:wait_for_own_end", "arguments": arguments}

    @property
    def state_names(self) -> tuple[str, ...]:
        """LeRobot's, in the order of the state; empty before `start`."""
        return tuple(self.started.get("state_names", ()))

    @property
    def action_names(self) -> tuple[str, ...]:
        """LeRobot's, in the order of the actions; empty before `start`."""
        return tuple(self.started.get("action_names", ()))


def build(robot_type: str, cfg: Mapping[str, Any], folder: Path) -> Connector:
    """The Python is there; whether it has LeRobot, and LeRobot the robot, is seen at the start."""
    settings = parse_section(LerobotSettings, cfg, "hardware")
    if not robot_type:
        raise SetupError("hardware.kind: write the type of the robot behind lerobot:, as lerobot:so101_follower")
    python = str(folder / settings.python) if "/" in settings.python else settings.python
    if shutil.which(python) is None:
        raise SetupError(f"hardware.python: no program {settings.python!r}; name the python of LeRobot's environment")
    argv = (python, lerobot_helper.__file__)
    robot = {"type": robot_type, "settings": dict(settings.robot), "state": settings.state, "actions": settings.actions}
    how = SubprocessSettings(
        observe=list(argv), apply=list(argv), safe_stop=list(argv), persistent=True,
        command_timeout_s=settings.command_timeout_s, start_timeout_s=settings.start_timeout_s,
    )  # fmt: skip
    argvs = dict.fromkeys(("observe", "apply", "safe_stop"), argv)

    def start_request(was_applied: bool) -> dict[str, Any]:  # noqa: FBT001
        return {"robot": robot, "was_applied": was_applied}

    return LerobotRobot(argvs, how, folder, start_request=start_request, called=CALLED, end_s=END_S)
