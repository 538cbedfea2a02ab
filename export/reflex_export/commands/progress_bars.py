"""Stages as bars with their time, on a terminal's stderr; nothing where nobody watches, and never on stdout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from reflex.wording.nouns import counted
from reflex_export.progress import Progress, Stage, unseen

__all__ = ["shown_progress"]

MB: Final = 1e6


@contextmanager
def shown_progress(console: Console | None = None) -> Iterator[Progress]:
    """Yield what reports go to. The bars go when the work ends, however it ends."""
    shown_on = console or Console(stderr=True)
    if not shown_on.is_terminal:
        yield unseen
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
    )
    # Redirecting would send what the command prints on stdout to stderr.
    bars = Bars(*columns, console=shown_on, transient=True, redirect_stdout=False, redirect_stderr=False)
    with bars:
        yield _Shown(bars).report


class _Shown:
    """The bars, one a stage; only the last is moving."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._current: tuple[str, TaskID] | None = None

    def report(self, stage: Stage) -> None:
        task = self._task_of(stage)
        self._bars.update(task, total=stage.total, completed=stage.done, amount=_amount(stage))

    def _task_of(self, stage: Stage) -> TaskID:
        if self._current is not None:
            name, task = self._current
            if name == stage.name:
                return task
            # A stage that nobody could measure is whole when the next begins.
            self._bars.update(task, total=1, completed=1)
        task = self._bars.add_task(stage.name, total=stage.total, amount="")
        self._current = (stage.name, task)
        return task


def _amount(stage: Stage) -> str:
    if stage.detail or stage.total is None:
        return stage.detail
    match stage.unit:
        case "bytes":
            return f"{stage.done / MB:,.0f} of {stage.total / MB:,.0f} MB"
        case "cases":
            return f"{stage.done:.0f} of {counted(round(stage.total), 'case')}"
        case _:
            return f"{stage.done / stage.total:.0%}"
