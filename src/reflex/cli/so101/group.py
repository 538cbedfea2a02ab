"""The group `reflex so101`."""

from __future__ import annotations

import typer

from reflex.cli.so101.calibrate import calibrate
from reflex.cli.so101.check import check
from reflex.cli.so101.find import find
from reflex.cli.so101.rest import rest

__all__ = ["so101"]

so101 = typer.Typer(
    help="Find an SO-101, check it, calibrate it, and bring it to rest.", no_args_is_help=True, rich_markup_mode=None
)
so101.command(short_help="Which serial port has the arm.")(find)
so101.command(short_help="Whether the arm is well and complete; moves nothing.")(check)
so101.command(short_help="Find the middle and the ends of each joint, by hand.")(calibrate)
so101.command(short_help="Bring the arm to its rest pose, and take its torque off.")(rest)


@so101.callback()
def _root() -> None:
    """Find an SO-101, check it, calibrate it, and bring it to rest."""
