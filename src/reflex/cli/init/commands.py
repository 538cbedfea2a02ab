"""`reflex init embodiment`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex.cli.init.draft import Draft

__all__ = ["init"]

USUAL_HZ: Final = 20.0

init = typer.Typer(help="Begin a file that Reflex reads.", no_args_is_help=True, rich_markup_mode=None)


@init.callback()
def _init() -> None:
    """Begin a file that Reflex reads."""


@init.command(short_help="The description of a robot of your own.")
def embodiment(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON file to write.", dir_okay=False)],
    *,
    from_stats: Annotated[
        Path | None, typer.Option(metavar="PATH", help="meta/stats.json of a LeRobot dataset: ranges, rate, names.")
    ] = None,
    from_urdf: Annotated[Path | None, typer.Option(metavar="PATH", help="A URDF: joints, limits, top speeds.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="By default the file's.")] = None,
    unit: Annotated[
        str, typer.Option(metavar="UNIT", help="Of all axes of --from-stats; a dataset does not say.")
    ] = "1",
    control_hz: Annotated[
        float | None, typer.Option(metavar="HZ", help="Actions a second; by default the dataset's, or 20.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write an embodiment: the axes of a robot, their units and limits, from a dataset, a URDF, or by questions.

    Read it before anything moves by it: what could not be known is a guess, and `sources` says which.

    Example:

    \b
      reflex init embodiment my_arm.json --from-urdf my_arm.urdf --control-hz 30
      reflex export CHECKPOINT --embodiment my_arm.json
    """
    if from_stats is not None and from_urdf is not None:
        raise typer.BadParameter("give --from-stats or --from-urdf, not both")
    if control_hz is not None and not control_hz > 0:
        raise typer.BadParameter("a rate is above 0", param_hint="--control-hz")
    from reflex.cli.init.draft import write_draft

    with reported_errors(as_json=as_json):
        draft = _draft(_name(name, file), from_stats, from_urdf, unit, control_hz)
        write_draft(draft, file, replace=replace)
    if as_json:
        print_json({"file": str(file), "name": draft.name, "axes": [axis.name for axis in draft.axes]})
        return
    axes = counted(len(draft.axes), "axis", "axes")
    say(f"{file}: {axes}, {draft.control_hz:g} actions a second; before anything moves by it, read its")
    say("sources, which say where each number comes from, and which is a guess")
    say(f"next: reflex export CHECKPOINT --embodiment {shlex.quote(str(file))}")


def _name(given: str | None, file: Path) -> str:
    """Before anything is read or asked; `SetupError` when it is none."""
    from reflex.embodiments import NAME_PATTERN, NAME_RULE

    name = file.stem.lower() if given is None else given
    if NAME_PATTERN.fullmatch(name):
        return name
    origin = f"of the file {file.name} it would be {name!r}" if given is None else f"{name!r} is none"
    raise SetupError(f"the embodiment's name {NAME_RULE}; {origin}: choose one with --name")


def _draft(name: str, stats: Path | None, urdf: Path | None, unit: str, control_hz: float | None) -> Draft:
    from reflex.cli.init.dataset import draft_from_stats
    from reflex.cli.init.questions import draft_from_questions
    from reflex.cli.init.urdf import draft_from_urdf

    if stats is not None:
        return draft_from_stats(stats, name, unit, control_hz)
    if urdf is not None:
        return draft_from_urdf(urdf, name, control_hz or USUAL_HZ)
    return draft_from_questions(name, control_hz)
