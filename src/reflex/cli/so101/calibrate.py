"""`reflex so101 calibrate`: the middle and the ends of each joint, by hand."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from reflex.cli.options import JsonOption
from reflex.cli.so101.options import PortOption, YesOption, confirmed, opened_bus, port_of
from reflex.console import print_json, reported_errors, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex_runner.so101.bus import Bus
    from reflex_runner.so101.calibrating import Ranges
    from reflex_runner.so101.calibration import Calibration

__all__ = ["calibrate"]

SHOW_EVERY: Final = 30
"""Measurements between two lines of progress: about a second."""


def calibrate(
    *,
    name: Annotated[str, typer.Option("--id", metavar="NAME", help="What the arm is called, here and in LeRobot.")],
    port: PortOption = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Write this calibration back into the servos; nobody moves them."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the middle and the two ends of each joint, while you move the arm by hand, as LeRobot does it.

    The torque goes off first. At the end the servos and LeRobot's file are written, after a question; until then
    nothing of the old calibration is lost. With --from a file that is there already is written instead.

    Example:

    \b
      reflex so101 calibrate --id left
      reflex so101 calibrate --id left --from left.json
    """
    with reported_errors(as_json=as_json):
        from reflex_runner.so101.places import Places

        file = Places.here().file_for(name)
        with opened_bus(port_of(port)) as bus:
            calibration = _found(bus, yes=yes) if source is None else _read(bus, source, yes=yes)
            _keep(bus, file, calibration, yes=yes)
    if as_json:
        print_json(
            {"calibration": str(file), "calibration_id": calibration.calibration_id, "motors": _rows(calibration)}
        )
    else:
        for row in _rows(calibration):
            show(f"{row['name']:<13}  {row['range_min']:>4} to {row['range_max']:>4}  offset {row['homing_offset']}")
        say(f"written: {file}")


def _found(bus: Bus, *, yes: bool) -> Calibration:
    from reflex_runner.so101.calibrating import calibration_of, find_middle, watch_ranges
    from reflex_runner.so101.examination import examine
    from reflex_runner.so101.holding import release

    problems = examine(bus, None).problems
    if problems:
        raise problems[0]
    confirmed("The torque goes off, and the arm falls unless it lies or you hold it. Go on?", yes=yes)
    release(bus)
    say("Move every joint to the middle of its range, then press Enter.")
    _enter()
    zeros = find_middle(bus)
    say("Now move every joint but wrist_roll from one end to the other, then press Enter.")
    return calibration_of(zeros, watch_ranges(bus, zeros, _entered(), _progress()))


def _read(bus: Bus, source: Path, *, yes: bool) -> Calibration:
    """The one of the file, when the arm can be the one that it was made of; the torque is off then."""
    from reflex_runner.so101.calibration import read_calibration
    from reflex_runner.so101.examination import examine
    from reflex_runner.so101.holding import release
    from reflex_runner.so101.restoring import differences, refuse_elsewhere

    calibration = read_calibration(source)
    problems = examine(bus, None).problems
    if problems:
        raise problems[0]
    refuse_elsewhere(bus, calibration)
    for each in differences(bus, calibration) or ["the servos hold it already"]:
        say(each)
    confirmed("The torque goes off, and the arm falls unless it lies or you hold it. Go on?", yes=yes)
    release(bus)
    return calibration


def _keep(bus: Bus, file: Path, calibration: Calibration, *, yes: bool) -> None:
    from reflex_runner.so101.calibrating import keep
    from reflex_runner.so101.calibration import write_calibration

    over = ", over the one that is there" if file.exists() else ""
    confirmed(f"Write it to the servos and to {file}{over}?", yes=yes)
    keep(bus, calibration)
    write_calibration(file, calibration)


def _enter() -> None:
    if not sys.stdin.readline():
        raise SetupError("calibrating needs somebody who moves the arm and presses Enter; nothing was written")


def _entered() -> Callable[[], bool]:
    """Whether Enter was pressed since; a thread waits for it."""
    thread = threading.Thread(target=sys.stdin.readline, daemon=True)
    thread.start()
    return lambda: not thread.is_alive()


def _progress() -> Callable[[Ranges], None]:
    """Where the joints are and have been, over and over on a terminal; nothing in a log."""
    measured = [0]

    def tell(ranges: Ranges) -> None:
        from reflex_runner.so101.registers import MOTORS

        measured[0] += 1
        if sys.stderr.isatty() and measured[0] % SHOW_EVERY == 0:
            each = (f"{MOTORS[id_]} {ranges.low[id_]}..{ranges.high[id_]}" for id_ in ranges.position)
            say("  ".join(each))

    return tell


def _rows(calibration: Calibration) -> list[dict[str, Any]]:
    from reflex_runner.so101.registers import MOTORS

    return [{"name": MOTORS[joint.id], **asdict(joint)} for joint in calibration.joints]
