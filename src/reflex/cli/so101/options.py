"""Options that several of these commands have, and the arm that they mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex_runner.so101.bus import Bus

__all__ = [
    "CalibrationOption",
    "EmbodimentOption",
    "IdOption",
    "PortOption",
    "YesOption",
    "confirmed",
    "opened_bus",
    "port_of",
]

PortOption = Annotated[
    str | None,
    typer.Option(metavar="PORT", help="The serial port; without it, it is looked for. [env: REFLEX_SO101_PORT]"),
]
IdOption = Annotated[
    str | None, typer.Option("--id", metavar="NAME", help="What LeRobot calls the arm; the only one needs no name.")
]
CalibrationOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The calibration file, where it is not LeRobot's.")
]
EmbodimentOption = Annotated[
    str, typer.Option(metavar="NAME", help="so101 is in degrees, so101_percent in percent; or a JSON file.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: somebody has looked at the arm.")]


def port_of(port: str | None) -> str:
    """The one that is given, that of the environment, or the one that has an arm."""
    from reflex_runner.so101.places import Places
    from reflex_runner.so101.search import find_port

    return port or Places.here().port or find_port()


@contextmanager
def opened_bus(port: str) -> Iterator[Bus]:
    """The servos behind it, until the end."""
    from reflex_runner.so101.bus import Bus
    from reflex_runner.so101.line import open_line

    bus = Bus(open_line(port))
    try:
        yield bus
    finally:
        bus.close()


def confirmed(question: str, *, yes: bool) -> None:
    """Go on when somebody says so; `SetupError` otherwise, also where nobody can be asked."""
    if yes:
        return
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    said = sys.stdin.readline()
    if not said:
        raise SetupError("nobody is at a terminal to be asked; look at the arm, and say --yes")
    if said.strip().lower() not in ("y", "yes"):
        raise SetupError("nothing was done")
