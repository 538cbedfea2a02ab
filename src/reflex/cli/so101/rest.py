"""`reflex so101 rest`: slowly to the rest pose, and torque off."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reflex.cli.options import JsonOption
from reflex.cli.so101.options import (
    CalibrationOption,
    EmbodimentOption,
    IdOption,
    PortOption,
    YesOption,
    confirmed,
    opened_bus,
    port_of,
)
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex.embodiments import Embodiment
    from reflex_runner.connectors.so101 import SO101

__all__ = ["rest"]

SPEED: Final = 30.0
"""Units per second of every axis, for a pose that is given here."""
PoseOption = Annotated[
    str | None,
    typer.Option(metavar="VALUES", help="Six numbers instead of the embodiment's rest pose: 0,-98,94,60,0,5."),
]
ReleaseOption = Annotated[
    bool, typer.Option("--release", help="Take the torque off where the arm is: it falls, unless it is supported.")
]


def rest(
    *,
    port: PortOption = None,
    name: IdOption = None,
    calibration: CalibrationOption = None,
    embodiment: EmbodimentOption = "so101",
    pose: PoseOption = None,
    release: ReleaseOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the arm to its rest pose, slowly, and take its torque off. Ctrl-C on the way holds it where it is.

    \b
    Examples:
      reflex so101 rest
      reflex so101 rest --release
    """
    with reported_errors(as_json=as_json):
        if release:
            _let_go(port_of(port), yes=yes)
        else:
            from reflex.embodiments import load_embodiment
            from reflex_runner.connectors.so101 import SO101, SO101Settings
            from reflex_runner.so101.places import Places

            robot = load_embodiment(embodiment)
            goal, speed = _goal(robot, pose)
            settings = SO101Settings(id=name, calibration=calibration, embodiment=embodiment)
            places = replace(Places.here(), port=port_of(port))
            _go(SO101(settings, places=places), goal, speed, yes=yes)
    if as_json:
        print_json({"rested": not release, "torque": False})
    else:
        say("the torque is off")


def _let_go(port: str, *, yes: bool) -> None:
    from reflex_runner.so101.holding import release

    with opened_bus(port) as bus:
        confirmed("The torque goes off, and the arm falls unless you hold it. Do you?", yes=yes)
        release(bus)


def _goal(robot: Embodiment, pose: str | None) -> tuple[Sequence[float], Sequence[float]]:
    """`SetupError` where there is none, or it lies outside of the arm's limits."""
    ladder = robot.stop_ladder
    if pose is None:
        if ladder is None or ladder.rest_pose is None or ladder.rest_speed is None:
            raise SetupError(f"embodiment {robot.name} has no rest pose: give one with --pose, or say --release")
        return ladder.rest_pose, ladder.rest_speed
    values = _numbers(pose, robot.action_dim)
    for value, low, high, axis in zip(values, robot.action_low, robot.action_high, robot.action_names, strict=True):
        if not low <= value <= high:
            raise SetupError(f"--pose: {axis} must be {low:g} to {high:g}, not {value:g}")
    return values, [SPEED] * len(values)


def _numbers(text: str, wanted: int) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != wanted:
        raise SetupError(f"--pose takes {wanted} numbers with commas between them, not {text!r}")
    return values


def _go(arm: SO101, goal: Sequence[float], speed: Sequence[float], *, yes: bool) -> None:
    from reflex_runner.so101.resting import move_to

    try:
        arm.start()
        said = ", ".join(f"{value:g}" for value in goal)
        confirmed(f"The arm moves slowly to its rest pose ({said}), and goes limp there. Is its way free?", yes=yes)
        move_to(arm, goal, speed, tell=_progress())
        arm.release()
    except KeyboardInterrupt:
        say("stopped: whatever had torque keeps it, and holds; `reflex so101 rest --release` takes it off")
        raise
    finally:
        arm.stop()


def _progress() -> Callable[[float], None]:
    """A line that grows on a terminal; nothing in a log."""
    told = [-1]

    def tell(share: float) -> None:
        tenth = int(share * 10)
        if sys.stderr.isatty() and tenth > told[0]:
            told[0] = tenth
            say(f"{tenth * 10} % of the way")

    return tell
