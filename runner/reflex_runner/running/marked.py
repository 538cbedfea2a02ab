"""`MarkedConnector`: an object whose methods are marked `@reflex.observation` and `@reflex.action`, as a connector."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np

from reflex.connector import ActionChunk, CameraFrame, Connector, Observation
from reflex.connector.roles import Role, role_of
from reflex.errors import SetupError
from reflex_runner.errors import HardwareError

__all__ = ["MarkedConnector", "as_connector", "refuse_unmarked"]

ROLES: Final[tuple[Role, ...]] = ("observation", "action")
KEYS: Final = ("state", "images", "cameras", "instruction", "task", "captured_s")
RUN: Final = "run"


def refuse_unmarked(own: type) -> None:
    """`SetupError` unless one method is marked as each, and `run` is free."""
    if RUN in vars(own):
        raise SetupError(f"{own.__name__} has a method run already, which @reflex.connect adds; rename it")
    for role in ROLES:
        names = _marked(own, role)
        if len(names) != 1:
            found = "none" if not names else " and ".join(names)
            raise SetupError(f"{own.__name__} needs one method that is marked @reflex.{role}, and has {found}")


def as_connector(robot: object) -> Connector:
    """An object of a class that is marked."""
    # A connector but for one thing, which the loop knows: no observation any more, None, ends the run.
    return cast("Connector", MarkedConnector(robot))


class MarkedConnector:
    """`start`, `stop` and `safe_stop` are the object's own, where it has them; its attributes are, too."""

    def __init__(self, robot: Any) -> None:  # noqa: ANN401  # an object of the user's class
        self._robot = robot
        self._observe = _method(robot, "observation")
        self._act = _method(robot, "action")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # embodiment, units, watch_handle: what connectors may have
        return getattr(self._robot, name)

    def start(self) -> None:
        """The object is ready when it is made, unless it says otherwise."""
        self._call_own("start")

    def get_observation(self) -> Observation | None:
        """None ends the run."""
        found = self._observe()
        return found if found is None or isinstance(found, Observation) else _observation_of(found)

    def apply_action(self, chunk: ActionChunk) -> None:
        """One command after the other."""
        for command in chunk.actions:
            self._act(command)

    def safe_stop(self, reason: str = "") -> None:
        """Without a method of its own the object gets no more commands, and its motors hold the last one."""
        self._call_own("safe_stop", reason)

    def stop(self) -> None:
        """Where the object has something to close."""
        self._call_own("stop")

    def _call_own(self, name: str, *arguments: object) -> None:
        own = getattr(self._robot, name, None)
        if callable(own):
            own(*arguments)


def _marked(own: type, role: Role) -> list[str]:
    return [name for name in dir(own) if role_of(getattr(own, name, None)) == role]


def _method(robot: object, role: Role) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(robot, _marked(type(robot), role)[0])
    return method


def _observation_of(found: object) -> Observation:
    if not isinstance(found, Mapping) or "state" not in found or not set(found) <= set(KEYS):
        raise HardwareError(
            f"an observation is a dict with state, and images and instruction where there are any, not {found!r:.100}"
        )
    captured_s = float(found.get("captured_s") or time.monotonic())
    images = found.get("images") or found.get("cameras") or {}
    try:
        state = np.asarray(found["state"], np.float32)
    except (TypeError, ValueError) as exc:
        raise HardwareError(f"the state of an observation is a row of numbers, not {found['state']!r:.100}") from exc
    cameras = {name: _frame(image, captured_s) for name, image in dict(images).items()}
    return Observation(state, cameras, found.get("instruction") or found.get("task"), captured_s)


def _frame(image: Any, captured_s: float) -> CameraFrame:  # noqa: ANN401  # what the user took for a picture
    return image if isinstance(image, CameraFrame) else CameraFrame(image, captured_s)
