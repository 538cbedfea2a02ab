"""`reflex datasets validate`: a dataset held to rules before somebody trains on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.datasets.progress import shown_progress
from reflex.cli.datasets.show import DatasetArgument
from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.console import EXIT_FAILED, print_json, reported_errors, say, show
from reflex.errors import SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_learning.validation.report import Report, Verdict
    from reflex_learning.validation.rule import Finding

__all__ = ["validate"]


Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Also write a report: one page that needs nothing else."),
]


def validate(dataset: DatasetArgument, *, html: Html = None, as_json: JsonOption = False) -> None:
    """Hold a dataset to rules of files, tables, videos, statistics and content, and say where one does not hold.

    Every frame is read and every picture decoded, once. Exit code 1 when a rule fails that makes the dataset unfit for
    training; what is only worth a look is a warning.

    Example:

    \b
      reflex datasets validate recordings/2026-11-27/lerobot --html report.html
    """
    validating = load_extra("reflex_learning.validation.validating", "datasets", as_json=as_json)
    with reported_errors(as_json=as_json), shown_progress() as progress:
        report: Report = validating.validate(dataset, progress)
        if html is not None:
            _write_page(html, report)
    if as_json:
        print_json(report.told())
    else:
        _show(report)
    if not report.is_valid:
        raise typer.Exit(EXIT_FAILED)


def _write_page(file: Path, report: Report) -> None:
    from reflex_learning.validation.page import render_page

    try:
        file.write_text(render_page(report), encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"the report cannot be written to {file} ({exc.strerror}); give another --html") from exc


def _show(report: Report) -> None:
    for verdict in report.failed:
        for line in _lines(verdict):
            show(line)
    seen = f"{counted(report.episodes, 'episode')}, {report.frames:,} frames, {report.pictures:,} pictures"
    checked = sum(verdict.is_checked for verdict in report.verdicts.values())
    say(f"{counted(checked, 'rule')} checked over {seen}")
    fitness = "fit for training" if report.is_valid else "not fit for training"
    say(f"{report.dataset}: {fitness}; {counted(report.errors, 'error')}, {counted(report.warnings, 'warning')}")


def _lines(verdict: Verdict) -> Iterator[str]:
    rule = verdict.rule
    yield f"{rule.severity} {rule.id}, {counted(verdict.count, 'time')}: it should be that {rule.holds}"
    for finding in verdict.findings:
        yield f"  {_place(finding)}{finding.says}"
    if verdict.count > len(verdict.findings):
        yield f"  and {verdict.count - len(verdict.findings):,} more"
    yield f"  fix: {rule.fix}"


def _place(finding: Finding) -> str:
    parts = [
        "" if finding.episode is None else f"episode {finding.episode}",
        "" if finding.frame is None else f"frame {finding.frame}",
        "" if finding.file is None or finding.file in finding.says else finding.file,
    ]
    told = ", ".join(part for part in parts if part)
    return f"{told}: " if told else ""
