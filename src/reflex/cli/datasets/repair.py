"""`reflex datasets repair`: what a killed run left, made whole or taken away; and datasets of others, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.datasets.progress import shown_progress
from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show
from reflex.datasets.layout import INFO_FILE
from reflex.errors import SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_learning.repair.planning import Dropped
    from reflex_learning.repair.repairing import Repaired
    from reflex_runner.recording.repair.repairing import Repair

__all__ = ["repair"]


def repair(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A recording, the folder that recordings lie in, or with --out a dataset."),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where a dataset goes, repaired; must not be there yet."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make whole what runs that were killed left in their recordings; with --out, a LeRobot dataset of anybody.

    Of a recording, each open episode is finished, or taken away where nothing of it is whole. Episodes that had ended
    are never touched, nor is a recording that is being written. A second time it does nothing.

    A dataset is written anew at --out, and stays as it is: what sums it up is counted anew, episodes whose frames are
    broken are left out, each with its reason, and nothing is invented.

    Example:

    \b
      reflex datasets repair recordings
      reflex datasets repair cubes --out cubes-repaired
    """
    if out is not None:
        _repair_dataset(folder, out, dry_run=dry_run, as_json=as_json)
        return
    with reported_errors(as_json=as_json):
        _refuse_dataset(folder)
    _repair_recordings(folder, dry_run=dry_run, as_json=as_json)


def _refuse_dataset(folder: Path) -> None:
    if (folder / INFO_FILE).is_file():
        raise SetupError(
            f"{folder} is a dataset, which is written anew elsewhere; run: reflex datasets repair {folder} --out DIR"
        )


def _repair_recordings(folder: Path, *, dry_run: bool, as_json: bool) -> None:
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


def _repair_dataset(dataset: Path, out: Path, *, dry_run: bool, as_json: bool) -> None:
    repairing = load_extra("reflex_learning.repair.repairing", "datasets", as_json=as_json)
    with reported_errors(as_json=as_json), shown_progress() as progress:
        found: Repaired = repairing.repair_dataset(dataset, out, progress, dry_run=dry_run)
    if as_json:
        print_json(repairing.told(found, dataset, out))
        return
    _show_repaired(found, dataset, out, dry_run=dry_run)


def _show_repaired(found: Repaired, dataset: Path, out: Path, *, dry_run: bool) -> None:
    for dropped in found.plan.dropped:
        show(f"{'would be ' if dry_run else ''}dropped: {_what(dropped)}: {dropped.why}")
    for rule, said in found.hold_now:
        show(f"holds now: {rule}: {said}")
    for rule, says in found.remaining:
        show(f"remains: {rule}: {says}")
    if not found.before.failed:
        say(f"{dataset} breaks no rule: nothing is to be repaired, and nothing was written")
        return
    kept = counted(len(found.plan.kept), "episode"), counted(found.plan.frames, "frame")
    say(f"{' with '.join(kept)} of {found.before.episodes:,} with {found.before.frames:,}")
    if not dry_run:
        say(f"written: {out}; it breaks no rule that keeps it from training")


def _what(dropped: Dropped) -> str:
    if dropped.episode is None:
        return str(dropped.file)
    frames = "" if dropped.frames is None else f"frames {dropped.frames[0]} to {dropped.frames[1]} of "
    return f"{frames}episode {dropped.episode}"
