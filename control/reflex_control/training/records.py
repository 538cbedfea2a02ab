"""What a run says: numbered lines of its log, and metrics thinned to what a curve needs. Both are bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select

from reflex.signed.moments import iso_of
from reflex_control.plane import Writing
from reflex_control.store.tables import training_line, training_metric

__all__ = ["MOST_LINES", "MOST_METRICS", "keep_lines", "keep_metrics", "lines_of", "metrics_of"]

MOST_LINES: Final = 20_000
"""Of one run: the newest ones stay."""
MOST_METRICS: Final = 2_000
"""Of one run; beyond that every second one goes, and of new ones as few are kept."""

Metric = Mapping[str, Any]


def keep_lines(writing: Writing, run: Row[Any], first_line: int, lines: Sequence[str]) -> dict[str, int]:
    """Those that are not kept yet; what of the run changes by it. `first_line` is the number of the first one."""
    new = [
        {"run_id": run.id, "number": number, "text": text}
        for number, text in enumerate(lines, first_line)
        if number >= run.next_line
    ][-MOST_LINES:]
    if not new:
        return {}
    writing.connection.execute(insert(training_line), new)
    after = new[-1]["number"] + 1
    oldest = max(run.first_line, after - MOST_LINES)
    if oldest > run.first_line:
        old = (training_line.c.run_id == run.id) & (training_line.c.number < oldest)
        writing.connection.execute(delete(training_line).where(old))
    return {"next_line": after, "first_line": oldest}


def lines_of(connection: Connection, run: Row[Any], after: int, limit: int) -> dict[str, Any]:
    """From the number `after` on; `nextLine` asks for those that follow, now or later."""
    wanted = select(training_line.c.number, training_line.c.text).where(
        training_line.c.run_id == run.id, training_line.c.number >= after
    )
    found = connection.execute(wanted.order_by(training_line.c.number).limit(limit)).all()
    return {
        "lines": [{"number": line.number, "text": line.text} for line in found],
        "nextLine": found[-1].number + 1 if found else after,
        "firstKept": run.first_line,
    }


def keep_metrics(writing: Writing, run: Row[Any], given: Sequence[Metric]) -> dict[str, Any]:
    """What of the run changes by them. Within a claim steps only rise; a later claim begins anew where it resumes."""
    newest = run.newest or {}
    is_resumed = newest.get("attempt") != run.attempt
    after = -1 if is_resumed else newest["step"]
    new = [metric for metric in sorted(given, key=lambda each: each["step"]) if metric["step"] > after]
    if not new:
        return {}
    if is_resumed:
        lost = (training_metric.c.run_id == run.id) & (training_metric.c.step >= new[0]["step"])
        writing.connection.execute(delete(training_metric).where(lost))
    kept = _spaced(new, _last_step(writing.connection, run.id), run.metric_gap)
    if kept:
        writing.connection.execute(
            insert(training_metric), [{"run_id": run.id, "at": writing.now_ms, **metric} for metric in kept]
        )
    told = {name: value for name, value in new[-1].items() if value is not None}
    return {"newest": {**told, "attempt": run.attempt}, "metric_gap": _thinned(writing, run)}


def metrics_of(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    """By their steps."""
    wanted = select(training_metric).where(training_metric.c.run_id == run_id).order_by(training_metric.c.step)
    return [
        {
            "step": row.step,
            "at": iso_of(row.at),
            "loss": row.loss,
            "gradNorm": row.grad_norm,
            "lr": row.lr,
            "updateS": row.update_s,
            "dataS": row.data_s,
            "others": row.others or {},
        }
        for row in connection.execute(wanted)
    ]


def _last_step(connection: Connection, run_id: str) -> int | None:
    found = connection.scalar(select(func.max(training_metric.c.step)).where(training_metric.c.run_id == run_id))
    return None if found is None else int(found)


def _spaced(metrics: Sequence[Metric], last: int | None, gap: int) -> list[Metric]:
    """Those at least `gap` steps after the one before, of each step one."""
    kept: list[Metric] = []
    for metric in metrics:
        if last is None or metric["step"] - last >= max(gap, 1):
            kept.append(metric)
            last = metric["step"]
    return kept


def _thinned(writing: Writing, run: Row[Any]) -> int:
    """The steps from one kept metric to the next at least, from now on."""
    of_run = training_metric.c.run_id == run.id
    steps = writing.connection.scalars(
        select(training_metric.c.step).where(of_run).order_by(training_metric.c.step)
    ).all()
    if len(steps) <= MOST_METRICS:
        return int(run.metric_gap)
    gap = max(2 * run.metric_gap, 2 * (steps[-1] - steps[0]) // MOST_METRICS, 1)
    kept = {metric["step"] for metric in _spaced([{"step": step} for step in steps], None, gap)}
    gone = [{"gone_run": run.id, "gone_step": step} for step in steps if step not in kept]
    writing.connection.execute(_FORGET, gone)
    return int(gap)


_FORGET: Final = delete(training_metric).where(
    training_metric.c.run_id == bindparam("gone_run"), training_metric.c.step == bindparam("gone_step")
)
