"""Whether this computer has what the settings ask for: packages, a robot of that kind, cameras, room to record."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from reflex.errors import ReflexError
from reflex.readiness.checking import Check, failed, passed, skipped, warned
from reflex.wording.install import install_line
from reflex_runner.cameras.camera import Camera
from reflex_runner.config.sections import RobotConfig

__all__ = ["camera", "packages", "recording"]

LEAST_FREE_BYTES: Final = 1_000_000_000
PICTURE_WITHIN_S: Final = 10.0
"""Some cameras take seconds until they see anything."""
PROBLEM_STAYS_S: Final = 1.0
"""A camera that somebody has just let go of is opened again."""
LOOK_S: Final = 0.02
NEEDED: Final = {
    "sim": ("mujoco", "sim"),
    "so101": ("serial", "runner"),
    "stream": ("websockets", "runner"),
    "openpi": ("websockets", "runner"),
    "lerobot": ("pyarrow", "datasets"),
    "mcap": ("mcap", "mcap"),
    "rerun": ("rerun", "rerun"),
}
"""Package and extra, by what robot.yaml may say."""


def packages(config: RobotConfig) -> Check:
    """What the kinds of robot, transport and recording need is installed."""
    kinds = (config.hardware.kind, config.target.kind, *config.recording.formats)
    missing = [NEEDED[kind] for kind in kinds if kind in NEEDED and find_spec(NEEDED[kind][0]) is None]
    if missing:
        lacks = ", ".join(sorted({package for package, _ in missing}))
        return failed("packages", f"{lacks} is not installed", install_line(*sorted({extra for _, extra in missing})))
    return passed("packages", "all that robot.yaml needs is installed")


def camera(name: str, build: Callable[[], Camera]) -> Check:
    """Whether it can be made of its settings, and gives a picture; then it is given back."""
    try:
        made = build()
    except ReflexError as exc:
        return failed(f"camera {name}", str(exc), "correct robot.yaml")
    made.start()
    try:
        problem = _without_picture(made)
    finally:
        made.stop()
    if problem is None:
        return passed(f"camera {name}", "gives pictures")
    return failed(f"camera {name}", problem, f"correct cameras.{name} in robot.yaml, or see to the camera")


def _without_picture(made: Camera) -> str | None:
    """Why there is none in time; None as soon as there is one."""
    began_s = time.monotonic()
    while made.latest() is None:
        waited_s, problem = time.monotonic() - began_s, made.problem
        if waited_s >= (PICTURE_WITHIN_S if problem is None else PROBLEM_STAYS_S):
            return problem or f"it gave no picture within {PICTURE_WITHIN_S:g} s"
        time.sleep(LOOK_S)
    return None


def recording(config: RobotConfig) -> Check:
    """There is a folder for it, with room."""
    if not config.recording.is_on:
        return skipped("recording", "nothing is recorded")
    folder = _nearest_folder(config.recording.dir)
    if not os.access(folder, os.W_OK):
        return failed("recording", f"{folder} cannot be written to", "name another recording.dir, or --no-record")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return warned("recording", f"only {free / 1e6:,.0f} MB are free at {folder}", "make room, or --no-record")
    return passed("recording", f"{', '.join(config.recording.formats)} in {config.recording.dir}")


def _nearest_folder(path: Path) -> Path:
    """It itself, or the first above it that is there."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))
