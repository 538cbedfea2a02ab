"""The queue, as workers see it: a run is claimed with a lease, kept by beats, and ended by who holds the lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from reflex.training.forms import as_json, request_from_json
from reflex.training.port import LEASE_S, MOST_ATTEMPTS, EndState, WorkerFacts, lease_lost
from reflex.training.request import Family, TrainingRequest
from reflex.training.states import ENDED, WORKED_ON, RunState
from reflex_control.identity.actor import Actor
from reflex_control.identity.ids import new_id
from reflex_control.moments import SECOND_MS
from reflex_control.plane import Plane, Writing
from reflex_control.receipting import Facts
from reflex_control.store.tables import dataset, training_run
from reflex_control.training.records import Metric, keep_lines, keep_metrics
from reflex_control.training.runs import changed, end_run, find_run

__all__ = ["LEASE_MS", "Beat", "End", "beat_run", "can_do", "claim_run", "end_claimed", "is_any_waiting", "sweep_runs"]

LEASE_MS: Final = int(LEASE_S * SECOND_MS)
LEAST_GPU_BYTES: Final[Mapping[Family, int]] = {"pi0": 70 * 10**9, "pi05": 70 * 10**9}
"""What openpi's README asks of one GPU; a worker with less would fail after minutes of loading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a worker says of its run. `first_line` is the number of the first of its lines in the run's log."""

    lease_id: str
    state: RunState
    step: int
    metrics: Sequence[Metric] = ()
    log: Sequence[str] = ()
    first_line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended, as its worker says."""

    lease_id: str
    state: EndState
    reason: str
    steps: int
    exported: Mapping[str, Any] | None = None
    log: Sequence[str] = ()
    first_line: int = 0


def is_any_waiting(connection: Connection, organisation_id: str, worker: WorkerFacts) -> bool:
    """A look that writes nothing, for workers that ask every second."""
    return _claimed_already(connection, organisation_id, worker) is not None or bool(
        _candidates(connection, organisation_id, worker)
    )


def claim_run(writing: Writing, worker: WorkerFacts) -> dict[str, Any] | None:
    """The oldest run that the worker can do, on a dataset that is still what was validated.

    A claim whose answer was lost gets the same run again: one that its worker has claimed and never said a word of.
    """
    owner = writing.actor.organisation_id
    _sweep(writing)
    found = _claimed_already(writing.connection, owner, worker)
    if found is None:
        waiting = _candidates(writing.connection, owner, worker)
        found = _leased(writing, find_run(writing.connection, owner, waiting[0]), worker) if waiting else None
    return None if found is None else _claim_as_json(writing.connection, found)


def can_do(worker: WorkerFacts, request: TrainingRequest) -> bool:
    """Whether the worker has the family, and a GPU that is known to be too small for it has not. Of a `model:`, whose
    family nobody knows yet, it is.
    """
    if request.family is None:
        return True
    if worker.families and request.family not in worker.families:
        return False
    least = LEAST_GPU_BYTES.get(request.family, 0)
    return worker.gpu_memory_bytes is None or worker.gpu_memory_bytes >= least


def beat_run(writing: Writing, run_id: str, beat: Beat) -> dict[str, Any]:
    """Keep the lease, and what is new. `LeaseLostError` where the run is another's by now, or has ended."""
    found = find_run(writing.connection, writing.actor.organisation_id, run_id)
    if found.state not in WORKED_ON or found.lease_id != beat.lease_id:
        raise lease_lost(run_id)
    row = changed(
        writing, found, state=beat.state, step=beat.step, beaten_at=writing.now_ms,
        lease_until=writing.now_ms + LEASE_MS, **keep_lines(writing, found, beat.first_line, beat.log),
        **keep_metrics(writing, found, beat.metrics),
    )  # fmt: skip
    return {"isCancelled": row.cancel_asked_at is not None}


def end_claimed(writing: Writing, run_id: str, end: End) -> Row[Any]:
    """`LeaseLostError` as of a beat; saying it again changes nothing."""
    found = find_run(writing.connection, writing.actor.organisation_id, run_id)
    if found.lease_id != end.lease_id:
        raise lease_lost(run_id)
    if found.state in ENDED:
        return found
    return end_run(
        writing, found, end.state, end.reason, step=end.steps, exported=end.exported,
        **keep_lines(writing, found, end.first_line, end.log),
    )  # fmt: skip


def sweep_runs(plane: Plane) -> None:
    """Take back what silent workers have, in all organisations; called once a second."""
    with plane.reading() as connection:
        owners = {row.organisation_id for row in _silent(connection, plane.clock(), plane.deaf_until())}
    for owner in owners:
        with plane.writing(Actor("", "control plane", owner, frozenset())) as writing:
            _sweep(writing)


def _sweep(writing: Writing) -> None:
    for row in _silent(writing.connection, writing.now_ms, writing.deaf_until_ms):
        if row.organisation_id == writing.actor.organisation_id:
            _take_back(writing, row)


def _silent(connection: Connection, now_ms: int, deaf_until_ms: int) -> Sequence[Row[Any]]:
    """After a time in which nobody could be heard, each worker has as long as ever to be heard again."""
    if now_ms < deaf_until_ms + LEASE_MS and deaf_until_ms > 0:
        return []
    over = training_run.c.state.in_(WORKED_ON) & (training_run.c.lease_until <= now_ms)
    return connection.execute(select(training_run).where(over)).all()


def _take_back(writing: Writing, row: Row[Any]) -> None:
    name = (row.worker or {}).get("name", "?")
    silent = f"its worker {name} was silent for {LEASE_S:g} s"
    if row.cancel_asked_at is not None:
        end_run(writing, row, "cancelled", f"{row.reason}; {silent}", lease_id=None)
    elif row.attempt >= MOST_ATTEMPTS:
        end_run(writing, row, "failed", f"{silent}, and it has had {row.attempt} of them", lease_id=None)
    else:
        writing.receipt("training_requeued", Facts(steps=row.step, reason=f"{row.id}: {silent}"))
        changed(writing, row, state="queued", reason=silent, lease_id=None, lease_until=None, worker=None)


def _candidates(connection: Connection, organisation_id: str, worker: WorkerFacts) -> list[str]:
    """What waits and may be begun by this worker, oldest first."""
    wanted = (
        select(training_run.c.id, training_run.c.request)
        .join(dataset, training_run.c.dataset_id == dataset.c.id)
        .where(
            training_run.c.organisation_id == organisation_id, training_run.c.state == "queued",
            dataset.c.state == "valid", dataset.c.content_hash == training_run.c.dataset_hash,
        )
        .order_by(training_run.c.created_at, training_run.c.id)
    )  # fmt: skip
    return [row.id for row in connection.execute(wanted) if can_do(worker, request_from_json(row.request))]


def _claimed_already(connection: Connection, organisation_id: str, worker: WorkerFacts) -> Row[Any] | None:
    unheard = select(training_run).where(
        training_run.c.organisation_id == organisation_id, training_run.c.state == "provisioning",
        training_run.c.worker["workerId"].as_string() == worker.worker_id, training_run.c.beaten_at.is_(None),
    )  # fmt: skip
    return connection.execute(unheard.order_by(training_run.c.created_at).limit(1)).one_or_none()


def _leased(writing: Writing, row: Row[Any], worker: WorkerFacts) -> Row[Any]:
    told = {name: value for name, value in as_json(worker).items() if name != "families"}
    return changed(
        writing, row, state="provisioning", attempt=row.attempt + 1, lease_id=new_id("lease"), worker=told,
        lease_until=writing.now_ms + LEASE_MS, started_at=row.started_at or writing.now_ms, beaten_at=None, reason=None,
    )  # fmt: skip


def _claim_as_json(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    return {
        "runId": row.id,
        "leaseId": row.lease_id,
        "leaseSeconds": LEASE_S,
        "request": row.request,
        "datasetPath": connection.scalar(select(dataset.c.place).where(dataset.c.id == row.dataset_id)),
        "datasetHash": row.dataset_hash,
        "attempt": row.attempt,
        "nextLine": row.next_line,
    }
