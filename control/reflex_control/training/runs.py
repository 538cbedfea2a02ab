"""Training runs: asked for within bounds, waiting in a queue, ended once and for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex.training.forms import as_json
from reflex.training.refusing import require_within_bounds
from reflex.training.request import TrainingRequest
from reflex.training.states import ENDED, RunState
from reflex_control.identity.actor import Actor
from reflex_control.identity.ids import new_id
from reflex_control.moments import iso_or_none
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import find, find_named
from reflex_control.store.tables import api_key, dataset, model, training_run

__all__ = ["cancel_run", "changed", "end_run", "find_run", "positions", "run_as_json", "runs_of", "start_run"]

MOST_QUEUED: Final = 1_000
VERSION_DIGITS: Final = 12


def start_run(writing: Writing, request: TrainingRequest, request_id: str | None) -> dict[str, Any]:
    """Queue it. `ServiceError` 422 names every bound that it breaks, 409 what is wrong with its dataset.

    The same `request_id` is the same run, whatever has become of it.
    """
    require_within_bounds(request)
    known = _same_as_before(writing, request, request_id)
    return run_as_json(writing.connection, known or _queued(writing, request, request_id))


def _same_as_before(writing: Writing, request: TrainingRequest, request_id: str | None) -> Row[Any] | None:
    if request_id is None:
        return None
    owner = writing.actor.organisation_id
    same = select(training_run).where(training_run.c.organisation_id == owner, training_run.c.request_id == request_id)
    found = writing.connection.execute(same).one_or_none()
    if found is not None and found.request != as_json(request):
        words = f"this request id is that of {found.id}, which was asked for otherwise; choose another one"
        raise service_error("idempotency_mismatch", words, context={"runId": found.id})
    return found


def _queued(writing: Writing, request: TrainingRequest, request_id: str | None) -> Row[Any]:
    owner = writing.actor.organisation_id
    trained_on = find_named(writing.connection, dataset, owner, request.dataset_id, field="datasetId")
    if trained_on.state != "valid":
        raise unvalidated(trained_on)
    _refuse_a_full_queue(writing)
    identity = new_id("run")
    writing.connection.execute(
        insert(training_run).values(
            id=identity, organisation_id=owner, dataset_id=trained_on.id, api_key_id=writing.actor.key_id,
            request_id=request_id, dataset_hash=trained_on.content_hash, request=as_json(request), state="queued",
            created_at=writing.now_ms, attempt=0, step=0, steps=request.steps, metric_gap=0, next_line=0, first_line=0,
        )
    )  # fmt: skip
    made = find_run(writing.connection, owner, identity)
    writing.receipt("training_queued", Facts(reason=f"{identity} on {trained_on.id} {trained_on.content_hash}"))
    _tell(writing, made)
    return made


def unvalidated(found: Row[Any]) -> ServiceError:
    """In the words of the documents."""
    words = (
        f"Training rejects an unvalidated dataset. Run reflex datasets validate {found.id} before starting training."
    )
    if found.state == "invalid":
        words += " Its last validation found errors: mend what it names first."
    return service_error("dataset_unvalidated", words, context={"datasetId": found.id, "state": found.state})


def _refuse_a_full_queue(writing: Writing) -> None:
    waiting = select(func.count()).where(
        training_run.c.organisation_id == writing.actor.organisation_id, training_run.c.state == "queued"
    )
    if int(writing.connection.scalar(waiting) or 0) >= MOST_QUEUED:
        raise service_error("wrong_state", f"{MOST_QUEUED} runs are queued already; wait, or cancel some of them")


def cancel_run(writing: Writing, run_id: str, reason: str | None) -> Row[Any]:
    """What waits is cancelled at once, what runs by its worker, which hears of it at its next beat."""
    found = find_run(writing.connection, writing.actor.organisation_id, run_id)
    if found.state == "queued":
        return end_run(writing, found, "cancelled", reason or "cancelled")
    if found.state in ENDED or found.cancel_asked_at is not None:
        return found
    writing.receipt("training_cancel_asked", Facts(reason=f"{run_id}: {reason or 'cancelled'}"))
    return changed(writing, found, cancel_asked_at=writing.now_ms, reason=reason or "cancelled")


def end_run(writing: Writing, found: Row[Any], state: RunState, reason: str, **values: Any) -> Row[Any]:  # noqa: ANN401
    """Once and for good, with the receipt of it."""
    row = changed(writing, found, state=state, reason=reason, ended_at=writing.now_ms, lease_until=None, **values)
    facts = Facts(
        steps=row.step, model_version=_version_of(row.exported),
        reason=f"{row.id} on {row.dataset_id} {row.dataset_hash}: {reason}",
    )  # fmt: skip
    writing.receipt(f"training_{state}", facts)
    return row


def changed(writing: Writing, found: Row[Any], **values: Any) -> Row[Any]:  # noqa: ANN401 - columns
    """The run as it is now; whoever listens hears of another state."""
    changing = update(training_run).where(training_run.c.id == found.id).values(**values).returning(training_run)
    row = writing.connection.execute(changing).one()
    if (row.state, row.cancel_asked_at) != (found.state, found.cancel_asked_at):
        _tell(writing, row)
    return row


def _tell(writing: Writing, row: Row[Any]) -> None:
    told = {"runId": row.id, "state": row.state, "step": row.step, "attempt": row.attempt, "reason": row.reason}
    writing.tell("training_run", {**told, "isCancelAsked": row.cancel_asked_at is not None})


def find_run(connection: Connection, organisation_id: str, run_id: str) -> Row[Any]:
    """`ServiceError` 404."""
    return find(connection, training_run, organisation_id, run_id, what="training run")


def runs_of(
    connection: Connection, actor: Actor, *, of_all: bool = True, state: RunState | None = None,
    after: str | None = None, limit: int | None = None,
) -> list[Row[Any]]:  # fmt: skip
    """Oldest first; without `of_all` those of the actor's key, and of the keys of its name that came before it."""
    owner = actor.organisation_id
    wanted = select(training_run).where(training_run.c.organisation_id == owner)
    if not of_all:
        own = select(api_key.c.id).where(api_key.c.organisation_id == owner, api_key.c.name == actor.key_name)
        wanted = wanted.where(training_run.c.api_key_id.in_(own))
    if state is not None:
        wanted = wanted.where(training_run.c.state == state)
    if after is not None:
        wanted = _later(wanted, find_named(connection, training_run, owner, after, field="after"))
    wanted = wanted.order_by(training_run.c.created_at, training_run.c.id)
    return list(connection.execute(wanted.limit(limit)).all())


def _later(wanted: Select[Any], last: Row[Any]) -> Select[Any]:
    is_later = (training_run.c.created_at == last.created_at) & (training_run.c.id > last.id)
    return wanted.where((training_run.c.created_at > last.created_at) | is_later)


def positions(connection: Connection, organisation_id: str) -> dict[str, int]:
    """Where each run that waits sits in the queue, from 1 on."""
    waiting = select(training_run.c.id).where(
        training_run.c.organisation_id == organisation_id, training_run.c.state == "queued"
    )
    ids = connection.scalars(waiting.order_by(training_run.c.created_at, training_run.c.id))
    return {run_id: place for place, run_id in enumerate(ids, 1)}


def _version_of(exported: Mapping[str, Any] | None) -> str | None:
    """`NAME@` and digits, as of a registered model."""
    if exported is None:
        return None
    return f"{exported['policy']}@{str(exported['modelHash']).removeprefix('sha256:')[:VERSION_DIGITS]}"


def run_as_json(connection: Connection, row: Row[Any], places: Mapping[str, int] | None = None) -> dict[str, Any]:
    """`places` are those of `positions`, where they are known already."""
    if places is None:
        places = positions(connection, row.organisation_id) if row.state == "queued" else {}
    return {
        "id": row.id,
        "requestId": row.request_id,
        "datasetId": row.dataset_id,
        "datasetHash": row.dataset_hash,
        "request": row.request,
        "state": row.state,
        "position": places.get(row.id),
        "reason": row.reason,
        "isCancelAsked": row.cancel_asked_at is not None,
        "attempt": row.attempt,
        "step": row.step,
        "steps": row.steps,
        "newest": row.newest,
        "worker": row.worker,
        "exported": row.exported,
        "modelId": _model_id(connection, row),
        "createdAt": iso_of(row.created_at),
        "startedAt": iso_or_none(row.started_at),
        "lastBeatAt": iso_or_none(row.beaten_at),
        "endedAt": iso_or_none(row.ended_at),
    }


def _model_id(connection: Connection, row: Row[Any]) -> str | None:
    """Of what was exported, where somebody has registered it."""
    if row.exported is None:
        return None
    same = select(model.c.id).where(
        model.c.organisation_id == row.organisation_id, model.c.content_hash == row.exported["modelHash"]
    )
    return connection.scalar(same.order_by(model.c.created_at).limit(1))
