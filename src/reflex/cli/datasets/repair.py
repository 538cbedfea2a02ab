"""`reflex datasets repair`: what a killed run left, made whole or taken away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_runner.recording.repair.repairing import Repair

__all__ = ["repair"]


def repair(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A recording, or the folder that recordings lie in.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Finish what is open in the recordings of runs that were killed, or take it away where nothing of it is whole.

    Episodes that had ended are never touched, nor is a recording that is being written. A second time it does nothing.

    Example:

    \b
      reflex datasets repair recordings
    """
    repairing = load_extra("reflex_runner.recording.repair.repairing", "runner", as_json=as_json)
    with reported_errors(as_json=as_json):
        found: Repair = repairing.repair_recordings(folder, dry_run=dry_run)
    if as_json:
        print_json(repairing.told(found, folder, dry_run=dry_run))
        return
    for step in found.steps:
        show(f"{'would be ' if dry_run else ''}{step.did}: {step.path}: {step.detail}")
    for path in found.being_recorded:
        say(f"reflex: {path} is being recorded now, and is left alone")
    looked = counted(found.recordings, "recording")
    say(f"{looked} looked at: {counted(len(found.steps), 'thing')} {'to do' if dry_run else 'done'}")
