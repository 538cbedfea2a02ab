"""`reflex diagnose`: is it the data, the training or the deployment?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import ApiKeyOption, JsonOption
from reflex.console import EXIT_FAILED, print_json, reported_errors, say, show
from reflex.errors import SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_learning.diagnosis.report import Diagnosis, Finding

__all__ = ["diagnose"]

DEADLINE_S = 10.0
"""The longest that a server takes; a diagnosis is in no hurry."""
Server = Annotated[str, typer.Option(metavar="URL", help="The server whose policy is asked.")]
DatasetOption = Annotated[
    Path, typer.Option(metavar="DIR", help="A LeRobot dataset: recordings of this robot and task.")
]
Frames = Annotated[int, typer.Option(metavar="N", min=24, max=512, help="How many frames are replayed.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Which frames: the same number chooses the same.")]
Limit = Annotated[float, typer.Option(metavar="S", min=1.0, max=86_400.0, help="The time for all of it, in seconds.")]
Instruction = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What the robot's program sends, in place of what was recorded.")
]
Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", metavar="POLICY=DATASET", help="Which camera of the dataset is the policy's; repeat it."),
]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Also write a report: one page that needs nothing else."),
]


def diagnose(
    *,
    server: Server,
    dataset: DatasetOption,
    frames: Frames = 48,
    seed: Seed = 0,
    limit_s: Limit = 600.0,
    instruction: Instruction = None,
    camera: Cameras = None,
    html: Html = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay recorded frames through the served policy, and say in one line each what is wrong with the set-up.

    The answers are held against the recorded actions, as recorded and with each suspected fault undone. Exit code 0
    when nothing was found, 1 when something was. No robot takes part.

    Example:

    \b
      reflex diagnose --server http://127.0.0.1:8000 --dataset recordings/2026-11-27/lerobot --html report.html
    """
    from reflex.client import ReflexClient

    diagnosing = load_extra("reflex_learning.diagnosis.diagnosing", "datasets", as_json=as_json)
    cameras = _named(camera or [])
    with (
        reported_errors(as_json=as_json),
        ReflexClient(server, deadline_s=DEADLINE_S, api_key=api_key) as client,
        _progress() as advance,
    ):
        plan = diagnosing.Plan(frames, seed, limit_s, instruction, cameras)
        found: Diagnosis = diagnosing.diagnose(client, server, dataset, plan, advance)
        if html is not None:
            _write_page(html, found)
    if as_json:
        print_json(found.told())
    else:
        _show(found)
    raise typer.Exit(0 if found.is_healthy else EXIT_FAILED)


def _named(given: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for policy, equals, theirs in pairs:
        if not (policy and equals and theirs):
            raise typer.BadParameter("must be POLICY=DATASET, like front=top", param_hint="--camera")
    return {policy: theirs for policy, _, theirs in pairs}


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    """One line that counts, on a terminal; nothing in a log."""
    if not sys.stderr.isatty():
        yield None
        return
    asked = 0

    def advance(count: int) -> None:
        nonlocal asked
        asked += count
        typer.echo(f"\r{asked:,} answers ", err=True, nl=False)

    try:
        yield advance
    finally:
        typer.echo("\r\033[K", err=True, nl=False)


def _write_page(file: Path, found: Diagnosis) -> None:
    from reflex_learning.diagnosis.page import render_page

    try:
        file.write_text(render_page(found), encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"the report cannot be written to {file} ({exc.strerror}); give another --html") from exc


def _show(found: Diagnosis) -> None:
    for finding in found.findings:
        for line in _lines(finding):
            show(line)
    for note in found.notes:
        say(f"note: {note}")
    if found.error is not None:
        asked = f"{counted(found.frames, 'frame')}, {counted(found.requests, 'answer')}"
        say(f"{asked}: an error of {found.error:.2f} as recorded; the mean of all actions has {found.mean_error:.2f}")
    verdict = "nothing found" if found.is_healthy else counted(len(found.findings), "finding")
    say(f"{found.policy} at {found.server}, {found.dataset}: {verdict}")


def _lines(finding: Finding) -> Iterator[str]:
    yield finding.line
    yield f"  fix: {finding.told()['fix']}"
