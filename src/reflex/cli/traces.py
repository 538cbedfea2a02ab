"""`reflex traces summary` and `reflex compare`: what recordings say about the policies in them."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex_analysis.compare import Comparison
    from reflex_analysis.figures import Summary

__all__ = ["compare", "traces"]

traces = typer.Typer(
    help="Read what `reflex serve --record` has recorded.", no_args_is_help=True, rich_markup_mode=None
)


class MetricName(StrEnum):
    """The names in `reflex_analysis.episodes.METRICS`, which would be heavy to import for --help."""

    LATENCY = "latency"
    JERK = "jerk"
    JUMP = "jump"
    CLAMPS = "clamps"
    ERRORS = "errors"


Recording = Annotated[Path, typer.Argument(metavar="TRACE", help="A folder of recordings, or one file of it.")]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Also write a report: one page that needs nothing else."),
]
Metrics = Annotated[
    list[MetricName] | None,
    typer.Option(
        metavar="NAME",
        help=f"Compare by this alone ({', '.join(MetricName)}); repeat it. The fewer, the more the data can show. "
        "Default: all.",
    ),
]


@traces.callback()
def _root() -> None:
    """Read what `reflex serve --record` has recorded."""


@traces.command(short_help="Show what a recording holds, per slot and policy.")
def summary(recording: Recording, *, html: Html = None, as_json: JsonOption = False) -> None:
    """Show requests, latency, errors, what the guard did and how smooth the chunks are, per slot and policy.

    Example:

    \b
      reflex traces summary recordings --html report.html
    """
    from reflex.cli.trace_text import holds_nothing, loss_lines, summary_lines
    from reflex.traces.reader import TraceReader
    from reflex_analysis.summary import summarise

    with reported_errors(as_json=as_json):
        found = summarise(TraceReader(recording))
        if not (found.requests or found.shadows or found.losses.dropped):
            raise holds_nothing(recording, found.losses)
        if html is not None:
            _write_report(html, found, recording)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    for line in summary_lines(found):
        show(line)
    for line in loss_lines(found.losses):
        say(f"reflex: {line}")
    if html is not None:
        say(f"report: {html}")


def compare(recording: Recording, *, metric: Metrics = None, as_json: JsonOption = False) -> None:
    """Compare slot a with slot b, episode by episode, and say whether the recording allows a conclusion.

    Example:

    \b
      reflex compare recordings --metric latency
    """
    from reflex.cli.trace_text import comparison_lines, holds_nothing, loss_lines
    from reflex.traces.reader import TraceReader
    from reflex_analysis.compare import compare as compare_slots
    from reflex_analysis.episodes import read_episodes

    with reported_errors(as_json=as_json):
        reader = TraceReader(recording)
        table = read_episodes(reader)
        if not (table.slots or table.excluded or reader.losses.dropped):
            raise holds_nothing(recording, reader.losses)
        found = compare_slots(table, [name.value for name in dict.fromkeys(metric or ())])
    if as_json:
        print_json(dataclasses.asdict(found) | {"losses": dataclasses.asdict(reader.losses)})
        return
    for line in comparison_lines(found):
        show(line)
    for line in loss_lines(reader.losses):
        say(f"reflex: {line}")


def _write_report(file: Path, summary: Summary, recording: Path) -> None:
    from reflex_analysis.report import render_report

    page = render_report(summary, _comparison(summary, recording))
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"--html {file} cannot be written ({exc.strerror})") from exc


def _comparison(summary: Summary, recording: Path) -> Comparison | None:
    """For the report of a recording with two slots."""
    from reflex.traces.reader import TraceReader
    from reflex_analysis.compare import compare as compare_slots
    from reflex_analysis.episodes import read_episodes

    table = None if len(summary.slots) < 2 else read_episodes(TraceReader(recording))
    return None if table is None or not {"a", "b"} <= table.slots.keys() else compare_slots(table)
