"""`reflex datasets validate`: a dataset held to rules before somebody trains on it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from reflex.cli.control.answering import exit_code_of, reported
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.datasets.progress import shown_progress
from reflex.cli.extras import load_extra
from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, error_as_json, print_json, say, show, told_as_json
from reflex.errors import ReflexError, SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_learning.validation.report import Report, Verdict
    from reflex_learning.validation.rule import Finding

__all__ = ["validate"]

DATASET_ID: Final = re.compile(r"data_[A-Za-z0-9]{1,60}", re.ASCII)

Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Also write a report: one page that needs nothing else."),
]


@with_control_options
def validate(
    at: ControlOptions,
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="The folder of a LeRobot dataset, or the id of a registered one."),
    ],
    *,
    html: Html = None,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where a registered dataset lies here. Default: the place it says."),
    ] = None,
) -> None:
    """Hold a dataset to rules of files, tables, videos, statistics and content, and say where one does not hold.

    Every frame is read and every picture decoded, once. Exit code 1 when a rule fails that makes the dataset unfit for
    training; what is only worth a look is a warning. Of a registered dataset, named by its id, the verdict is told to
    the control plane; training needs it.

    Example:

    \b
      reflex datasets validate recordings/2026-11-27/lerobot --html report.html
    """
    validating = load_extra("reflex_learning.validation.validating", "datasets", as_json=at.as_json)
    with reported(at):
        if html is not None and not os.access(html if html.exists() else html.parent, os.W_OK):
            raise _unwritable(html, "nothing can be written there")
        if DATASET_ID.fullmatch(dataset) and not Path(dataset).exists():
            with _shown_untold(at, html) as found:
                report: Report = _validated_registered(at, dataset, folder, validating.validate, found)
        else:
            with shown_progress() as progress:
                report = validating.validate(Path(dataset), progress)
        if html is not None:
            _write_page_or_show(at, html, report)
    if at.as_json:
        print_json(report.told())
    else:
        _show(report)
    if not report.is_valid:
        raise typer.Exit(EXIT_FAILED)


def _validated_registered(
    at: ControlOptions,
    dataset_id: str,
    folder: Path | None,
    validate: Callable[[Path, Any], Report],
    found: list[Report],
) -> Report:
    from reflex.control.dataset_validation import validate_registered
    from reflex.control.opening import open_client

    def judge(home: Path) -> Report:
        with shown_progress() as progress:
            return validate(home, progress)

    with open_client(at.api_key, convex_url=at.convex_url) as client, shown_progress("bytes read") as bytes_read:
        told, report = validate_registered(
            client, dataset_id, judge, folder=folder, tell=bytes_read, found=found.append
        )  # fmt: skip
    say(f"{told['id']} is {told['state']}")
    return report


@contextlib.contextmanager
def _shown_untold(at: ControlOptions, html: Path | None) -> Iterator[list[Report]]:
    """What is found inside, where the control plane could not be told of it."""
    found: list[Report] = []
    try:
        yield found
    except (ReflexError, KeyboardInterrupt) as ending:
        for report in found:
            if html is not None:
                with contextlib.suppress(SetupError):  # it was looked at before, and what ended it matters more
                    _write_page(html, report)
            _show_all_the_same(at, report, ending)
            say("the control plane may not have been told of it; once it can be, run this command again")
        raise


def _write_page_or_show(at: ControlOptions, html: Path, report: Report) -> None:
    try:
        _write_page(html, report)
    except SetupError as error:
        _show_all_the_same(at, report, error)
        raise


def _show_all_the_same(at: ControlOptions, report: Report, ending: ReflexError | KeyboardInterrupt) -> None:
    """Beside what ends the command: with --json that is one value, and the end."""
    if not at.as_json:
        _show(report)
        return
    if isinstance(ending, ReflexError):
        told, code = error_as_json(ending, of_policies=False), exit_code_of(ending)
    else:
        told, code = told_as_json("interrupted", "interrupted"), EXIT_INTERRUPTED
    print_json({**told, "report": report.told()})
    raise typer.Exit(code) from ending


def _write_page(file: Path, report: Report) -> None:
    from reflex_learning.validation.page import render_page

    try:
        file.write_text(render_page(report), encoding="utf-8")
    except OSError as exc:
        raise _unwritable(file, exc.strerror or "it failed") from exc


def _unwritable(file: Path, why: str) -> SetupError:
    return SetupError(f"the report cannot be written to {file} ({why}); give another --html")


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
