"""Training: the queue and what has ended, and one run, followed while it trains."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from sqlalchemy import Connection, Row
from starlette.responses import Response

from reflex.errors import ServiceError
from reflex.signed.moments import iso_of
from reflex.training.states import ENDED, WORKED_ON
from reflex_control.dashboard.curve import LARGE, SMALL, Size, curve_svg
from reflex_control.dashboard.documents import facts_of
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.http.routes.datasets import READER
from reflex_control.moments import iso_or_none
from reflex_control.training.attested import receipts_of_run
from reflex_control.training.looking import (
    counts_by_state,
    course_of,
    last_lines,
    names_of_datasets,
    runs_to_look_at,
)
from reflex_control.training.runs import find_run, positions

__all__ = ["TRAINING_PAGES"]

WAITING_SHOWN: Final = 100
ENDED_SHOWN: Final = 50
LINES_SHOWN: Final = 100
CANCEL: Final = "/v1/training-runs/{id}/cancel"
CURVES: Final[Sequence[tuple[str, str, Size, bool]]] = (
    ("Loss", "loss", LARGE, True), ("Learning rate", "lr", SMALL, False), ("Gradient norm", "grad_norm", SMALL, True),
)  # fmt: skip
"""Each with its column, and whether it may be shown by decades."""


def _list(visit: Visit) -> Response:
    READER.check(visit.who, {})
    with visit.plane.reading() as connection:
        waiting = runs_to_look_at(connection, visit.owner, WAITING_SHOWN, ended=False)
        ended = runs_to_look_at(connection, visit.owner, ENDED_SHOWN, ended=True)
        counts, places = counts_by_state(connection, visit.owner), positions(connection, visit.owner)
        names = names_of_datasets(connection, visit.owner, [row.dataset_id for row in (*waiting, *ended)])
    return visit.page(
        "training.html", waiting=[_shown(row, places) for row in waiting], ended=[_shown(row, places) for row in ended],
        counts=counts, names=names, ended_shown=ENDED_SHOWN,
        more_waiting=sum(count for state, count in counts.items() if state not in ENDED) - len(waiting),
    )  # fmt: skip


def _shown(row: Row[Any], places: Mapping[str, int]) -> dict[str, Any]:
    """A run as a line of a table."""
    return {
        "id": row.id, "name": _name(row), "base": row.request["base"], "datasetId": row.dataset_id, "state": row.state,
        "isCancelAsked": row.state in WORKED_ON and row.cancel_asked_at is not None, "reason": row.reason,
        "position": places.get(row.id), "step": row.step, "steps": row.steps, "worker": (row.worker or {}).get("name"),
        "createdAt": iso_of(row.created_at), "endedAt": iso_or_none(row.ended_at),
    }  # fmt: skip


def _show(visit: Visit, problem: ServiceError | None = None) -> Response:
    run = visit.ask("GET", "/v1/training-runs/{id}", id=visit.path["id"])
    with visit.plane.reading() as connection:
        row = find_run(connection, visit.owner, run["id"])
        name = names_of_datasets(connection, visit.owner, [row.dataset_id])[row.dataset_id]
        curves, lines = _curves(connection, row.id), last_lines(connection, row.id, LINES_SHOWN)
        receipts = receipts_of_run(connection, row) if visit.may("read") else []
    is_over = run["state"] in ENDED
    return visit.page(
        "run.html", problem=problem, run=run, name=_name(row), dataset_name=name, curves=curves, lines=lines,
        receipts=receipts, is_over=is_over, parity=facts_of((run["exported"] or {}).get("parity")),
        left_s=None if is_over else _left_s(run), lines_shown=LINES_SHOWN, published=_published(run),
        can_cancel=not is_over and not run["isCancelAsked"] and visit.offers("POST", CANCEL, id=run["id"]),
    )  # fmt: skip


def _name(row: Row[Any]) -> str:
    return str(row.request.get("name") or f"{row.request['base']} {row.id[:14]}")


def _curves(connection: Connection, run_id: str) -> list[Markup]:
    """Of what the trainer has told; the loss in any case."""
    course = course_of(connection, run_id)
    return [
        _curve(title, [(point.step, getattr(point, column)) for point in course], size, may_log=may_log)
        for title, column, size, may_log in CURVES
        if column == "loss" or any(getattr(point, column) is not None for point in course)
    ]


def _curve(title: str, points: Sequence[tuple[int, float | None]], size: Size, *, may_log: bool) -> Markup:
    drawn = curve_svg(title, points, size, may_log=may_log)
    return Markup('<figure class="of-{}"><figcaption>{}</figcaption>{}</figure>').format(size.name, title, drawn)


def _left_s(run: Mapping[str, Any]) -> float | None:
    """By the newest step; None where the trainer has not said how long one takes."""
    newest = run["newest"] or {}
    told = [newest[name] for name in ("update_s", "data_s") if newest.get(name) is not None]
    return float(sum(told)) * (run["steps"] - run["step"]) if told else None


def _published(run: Mapping[str, Any]) -> str | None:
    """The folder of the policy, as a shell takes it; a worker may have said anything."""
    made = run["exported"]
    return None if made is None else shlex.quote(f"{made['repository']}/{made['policy']}")


def _cancel(visit: Visit) -> Response:
    visit.ask("POST", CANCEL, {"reason": visit.form.optional("reason")}, id=visit.path["id"])
    return visit.go_to(f"/training/{visit.path['id']}?done=cancelled")


TRAINING_PAGES: Final = (
    Page("GET", "/training", _list),
    Page("GET", "/training/{id}", _show),
    Page("POST", "/training/{id}/cancel", _cancel, problem_page=_show),
)
