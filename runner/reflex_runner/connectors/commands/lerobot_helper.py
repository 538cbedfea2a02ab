"""A robot of LeRobot's behind the protocol of `subprocess`, in whatever Python LeRobot is installed in.

Started as a program by `reflex_runner.connectors.lerobot`. Imports LeRobot and Python's own library, nothing of Reflex.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import difflib
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

STAYS = "disable_torque_on_disconnect"
"""LeRobot's default takes the torque off at the end of a run, and an arm that gravity loads falls."""


class Served:
    """One robot, once it is connected."""

    def __init__(self) -> None:
        self.robot: Any = None
        self.states: list[str] = []
        self.actions: list[str] = []
        self.pictures: list[str] = []
        self.was_applied = False
        """By this process, or by one before it, which has hung or died."""
        self.rests = True
        """Nothing was applied since the last safe stop, if ever."""
        self.last: dict[str, float] = {}
        """What this process commanded last."""

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        operation = {"start": self.start, "observe": self.observe, "apply": self.apply, "safe_stop": self.safe_stop}
        try:
            return operation[request["op"]](request)
        except Exception as exc:  # noqa: BLE001  # a robot's own; the run is told
            return {"error": f"{type(exc).__name__}: {exc}"}

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Connected, calibrated before by LeRobot's own program, and not moved.

        `was_applied` says that a process before this one was asked to move the robot: it may move to this moment.
        """
        wanted = request["robot"]
        try:
            self.robot = made(wanted["type"], wanted["settings"])
        except ValueError as exc:
            return {"error": str(exc)}
        self.robot.connect(calibrate=False)
        if not self.robot.is_calibrated:
            line = f"lerobot-calibrate --robot.type={wanted['type']} --robot.id={wanted['settings'].get('id', 'ID')}"
            return {"error": f"the robot is not calibrated; run {line}, with its other settings"}
        features = self.robot.observation_features
        self.states = wanted["state"] or [name for name, kind in features.items() if not isinstance(kind, tuple)]
        self.actions = wanted["actions"] or list(self.robot.action_features)
        self.pictures = [name for name, kind in features.items() if isinstance(kind, tuple) and kind[-1] == 3]
        missing = [name for name in self.states if name not in features]
        missing += [name for name in self.actions if name not in self.robot.action_features]
        if missing:
            known = f"its state is {', '.join(features)}, its actions {', '.join(self.robot.action_features)}"
            return {"error": f"the robot has no {missing[0]}; {known}"}
        self.was_applied = request["was_applied"]
        self.rests = not self.was_applied
        return {"ok": True, "state_names": self.states, "action_names": self.actions, "cameras": self.pictures}

    def observe(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        captured_s = time.monotonic()
        seen = self.robot.get_observation()
        cameras = {name: picture(seen[name]) for name in self.pictures}
        return {"state": [float(seen[name]) for name in self.states], "cameras": cameras, "captured_s": captured_s}

    def apply(self, request: Mapping[str, Any]) -> dict[str, Any]:
        for number, action in enumerate(request["actions"]):
            if len(action) != len(self.actions):
                return {"error": f"{len(action)} values for the {len(self.actions)} axes {', '.join(self.actions)}"}
            if number:
                time.sleep(request["step_s"])
            self.was_applied, self.rests = True, False
            self.last = dict(zip(self.actions, action, strict=True))
            self.robot.send_action(self.last)
        return {"ok": True}

    def safe_stop(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Measured positions are commanded, velocities are none. What was never moved is not touched."""
        if not self.was_applied:
            return {"ok": True}
        seen = self.robot.get_observation()
        rest = {
            name: 0.0 if name.endswith(".vel") else float(seen[name]) for name in self.actions if at_rest(name, seen)
        }
        if not rest:
            return {"error": f"nothing is known of how to hold {', '.join(self.actions)} still"}
        self.robot.send_action({name: rest[name] for name in self.actions if name in rest})
        self.rests = True
        return {"ok": True}

    def brake(self, number: int, _frame: object) -> None:
        """SIGTERM comes to a process that hangs: what has a speed loses it, and this process ends.

        Positions are commanded as they were, for to measure them may be what hangs; the process that comes after this
        one measures them, but it is long in coming.
        """
        signal.signal(number, signal.SIG_DFL)
        still = {name: 0.0 for name in self.actions if name.endswith(".vel")}
        if still and not self.rests:
            with contextlib.suppress(Exception):
                kept = {name: value for name, value in self.last.items() if name in self.robot.observation_features}
                self.robot.send_action({**kept, **still})
        os.kill(os.getpid(), number)

    def end(self) -> None:
        """The run is over. One that was killed has stopped nothing."""
        if self.robot is None:
            return
        if not self.rests:
            self.answer({"op": "safe_stop"})
        self.robot.disconnect()


def at_rest(name: str, seen: Mapping[str, Any]) -> bool:
    return name.endswith(".vel") or name in seen


def picture(pixels: Any) -> dict[str, Any]:  # noqa: ANN401  # an array of numpy, which is not imported here
    height, width = pixels.shape[:2]
    return {"rgb": base64.b64encode(pixels.tobytes()).decode(), "width": width, "height": height}


def made(kind: str, settings: Mapping[str, Any]) -> Any:  # noqa: ANN401  # a robot of LeRobot's
    try:
        robots = importlib.import_module("lerobot.robots")
        draccus = importlib.import_module("draccus")  # LeRobot's own reader of settings
    except ModuleNotFoundError as exc:
        raise ValueError(
            f"{sys.executable} has no LeRobot ({exc}); name the Python that has it as hardware.python"
        ) from exc
    config_class = class_of(kind, robots)
    if settings.get("cameras"):
        import_all("lerobot.cameras")
    known = {field.name for field in dataclasses.fields(config_class)}
    given = {STAYS: False, **settings} if STAYS in known else settings
    try:
        config = draccus.decode(config_class, dict(given))
    except Exception as exc:
        raise ValueError(f"hardware.robot: {exc}; {kind} knows {', '.join(sorted(known))}") from exc
    return robots.make_robot_from_config(config)


def class_of(kind: str, robots: Any) -> Any:  # noqa: ANN401
    """The plugins first; then LeRobot's own robots, those whose names are like it before the others."""
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("lerobot.utils.import_utils").register_third_party_plugins()
    for name in ("", *likely("lerobot.robots", kind)):
        with contextlib.suppress(Exception):  # what a robot needs may not be installed
            importlib.import_module(f"lerobot.robots.{name}" if name else "lerobot.robots")
        with contextlib.suppress(KeyError):
            return robots.RobotConfig.get_choice_class(kind)
    known = sorted(robots.RobotConfig.get_known_choices())
    near = difflib.get_close_matches(kind, known, n=1)
    meant = f"did you mean lerobot:{near[0]}?" if near else f"it knows {', '.join(known)}"
    raise ValueError(f"LeRobot knows no robot {kind!r}; {meant}")


def likely(package: str, kind: str) -> list[str]:
    names = [found.name for found in pkgutil.iter_modules(importlib.import_module(package).__path__) if found.ispkg]
    return sorted(names, key=lambda name: -difflib.SequenceMatcher(None, name, kind).ratio())


def import_all(package: str) -> None:
    for name in likely(package, ""):
        with contextlib.suppress(Exception):
            importlib.import_module(f"{package}.{name}")


def main() -> None:
    """Lines on what were stdin and stdout. What the robot prints goes to stderr, and what it asks gets no answer."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    served = Served()
    signal.signal(signal.SIGTERM, served.brake)
    try:
        for line in requests:
            request = json.loads(line)
            answers.write(json.dumps({**served.answer(request), "seq": request["seq"]}) + "\n")
            answers.flush()
    finally:
        served.end()


if __name__ == "__main__":
    main()
