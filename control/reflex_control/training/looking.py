"""What a person looks at: datasets, the queue, the course of a run and the end of its log, each in a bounded piece.

A row may hold what a stranger wrote, up to a megabyte of it, and a run may have any number of metrics. So the store
cuts and thins before it answers, and nothing here grows with what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Text, case, cast, func, literal, select

from reflex.training.states import ENDED, RUN_STATES
from reflex_control.store.tables import dataset, training_line, training_metric, training_run

__all__ = [
    "CURVE_POINTS",
    "LINE_CHARACTERS",
    "Line",
    "counts_by_state",
    "course_of",
    "datasets_to_look_at",
    "last_lines",
    "names_of_datasets",
    "runs_to_look_at",
]

CURVE_POINTS: Final = 400
"""A chart is some 700 pixels wide."""
LINE_CHARACTERS: Final = 400
VERDICT_CHARACTERS: Final = 32_768
"""A verdict of the validator has some hundred for each rule that failed; a longer one is not read."""

RUN_COLUMNS: Final = (
    training_run.c.id, training_run.c.dataset_id, training_run.c.request, training_run.c.state, training_run.c.reason,
    training_run.c.created_at, training_run.c.started_at, training_run.c.ended_at, training_run.c.cancel_asked_at,
    training_run.c.step, training_run.c.steps, training_run.c.worker,
)  # fmt: skip
DATASET_COLUMNS: Final = tuple(column for column in dataset.c if column is not dataset.c.verdict)


@dataclass(frozen=True, slots=True)
class Line:
    """One of a log; `is_cut` where it goes on."""

    number: int
    text: str
    is_cut: bool


def datasets_to_look_at(connection: Connection, organisation_id: str, limit: int) -> list[Row[Any]]:
    """The newest first. `told` is the verdict as JSON text, None where there is none or it is too long to be one."""
    text = cast(dataset.c.verdict, Text)
    told = case((func.length(text) <= VERDICT_CHARACTERS, text)).label("told")
    wanted = select(*DATASET_COLUMNS, told).where(dataset.c.organisation_id == organisation_id)
    ordered = wanted.order_by(dataset.c.created_at.desc(), dataset.c.id)
    return _rows(connection, ordered.limit(limit))


def names_of_datasets(connection: Connection, organisation_id: str, ids: Sequence[str]) -> dict[str, str]:
    """By id."""
    wanted = select(dataset.c.id, dataset.c.name).where(dataset.c.organisation_id == organisation_id)
    return {row.id: row.name for row in connection.execute(wanted.where(dataset.c.id.in_(ids)))}


def runs_to_look_at(connection: Connection, organisation_id: str, limit: int, *, ended: bool) -> list[Row[Any]]:
    """Those that have ended, the last first; else those that have not, in the order of the queue."""
    order = training_run.c.ended_at.desc() if ended else training_run.c.created_at
    states = [state for state in RUN_STATES if (state in ENDED) == ended]
    wanted = select(*RUN_COLUMNS).where(
        training_run.c.organisation_id == organisation_id, training_run.c.state.in_(states)
    )
    return _rows(connection, wanted.order_by(order, training_run.c.id).limit(limit))


def counts_by_state(connection: Connection, organisation_id: str) -> dict[str, int]:
    """How many runs are in each state; one that no run is in is not there."""
    counted = select(training_run.c.state, func.count()).where(training_run.c.organisation_id == organisation_id)
    return {state: int(count) for state, count in connection.execute(counted.group_by(training_run.c.state))}


def course_of(connection: Connection, run_id: str, points: int = CURVE_POINTS) -> list[Row[Any]]:
    """Steps with loss, lr and grad_norm, evenly over the run and at most two more than `points`.

    The store finds each by its key, so a run of a million metrics costs no more than a short one.
    """
    of_run = training_metric.c.run_id == run_id
    # Two questions: SQLite answers one for both ends by reading all that lies between.
    first = connection.scalar(select(func.min(training_metric.c.step)).where(of_run))
    last = connection.scalar(select(func.max(training_metric.c.step)).where(of_run))
    if first is None or last is None:
        return []
    gap = max(1, (last - first) // points)
    begun = select(literal(first).label("step")).cte(recursive=True)
    starts = begun.union_all(select(begun.c.step + gap).where(begun.c.step + gap <= last))
    between = training_metric.c.step.between(starts.c.step, starts.c.step + gap - 1)
    picked = select(func.min(training_metric.c.step)).where(of_run, between).correlate(starts).scalar_subquery()
    wanted = (select(picked).select_from(starts)).union(select(literal(last)))
    columns = (training_metric.c.step, training_metric.c.loss, training_metric.c.lr, training_metric.c.grad_norm)
    chosen = select(*columns).where(of_run, training_metric.c.step.in_(wanted))
    return _rows(connection, chosen.order_by(training_metric.c.step))


def last_lines(connection: Connection, run_id: str, limit: int) -> list[Line]:
    """In their order, each with its first characters alone."""
    begun = func.substr(training_line.c.text, 1, LINE_CHARACTERS + 1).label("begun")
    wanted = select(training_line.c.number, begun).where(training_line.c.run_id == run_id)
    found = connection.execute(wanted.order_by(training_line.c.number.desc()).limit(limit)).all()
    return [Line(row.number, row.begun[:LINE_CHARACTERS], len(row.begun) > LINE_CHARACTERS) for row in reversed(found)]


def _rows(connection: Connection, wanted: Select[Any]) -> list[Row[Any]]:
    return list(connection.execute(wanted).all())
