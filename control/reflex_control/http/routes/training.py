"""Training runs over HTTP: for who wants them, and for the workers that do them."""

from __future__ import annotations

from typing import Any, Final

from reflex.control import training_objects as objects
from reflex.training.states import ENDED
from reflex_control.http.operation import Call, Operation
from reflex_control.http.routes.bodies import WithReason
from reflex_control.http.routes.datasets import READER, TRAINER
from reflex_control.http.routes.training_bodies import BeatBody, ClaimBody, EndBody, LogQuery, NewRun, RunQuery
from reflex_control.training.queue import Beat, End, beat_run, claim_run, end_claimed, is_any_waiting
from reflex_control.training.records import lines_of, metrics_of
from reflex_control.training.runs import cancel_run, find_run, positions, run_as_json, runs_of, start_run

__all__ = ["TRAINING_OPERATIONS"]


def _start(call: Call) -> dict[str, Any]:
    new: NewRun = call.body
    request = new.request()
    return call.plane.create(call.who, call.repetition, lambda writing: start_run(writing, request, new.request_id))


def _list(call: Call) -> dict[str, Any]:
    query: RunQuery = call.query
    with call.plane.reading() as connection:
        found = runs_of(
            connection, call.who, of_all=query.all, state=query.state, after=query.after, limit=query.limit + 1
        )  # one more than is shown: whether there is a next page
        places = positions(connection, call.who.organisation_id)
        shown = [run_as_json(connection, row, places) for row in found[: query.limit]]
    return {"runs": shown, "nextAfter": shown[-1]["id"] if len(found) > len(shown) else None}


def _get(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return run_as_json(connection, find_run(connection, call.who.organisation_id, call.path["id"]))


def _cancel(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        return run_as_json(writing.connection, cancel_run(writing, call.path["id"], call.body.reason))


def _logs(call: Call) -> dict[str, Any]:
    query: LogQuery = call.query
    with call.plane.reading() as connection:
        run = find_run(connection, call.who.organisation_id, call.path["id"])
        told = lines_of(connection, run, query.after, query.limit)
    return {**told, "state": run.state, "isWhole": run.state in ENDED and told["nextLine"] >= run.next_line}


def _metrics(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        run = find_run(connection, call.who.organisation_id, call.path["id"])
        return {"runId": run.id, "metrics": metrics_of(connection, run.id)}


def _claim(call: Call) -> dict[str, Any]:
    body: ClaimBody = call.body
    worker = body.facts()
    with call.plane.reading() as connection:
        if not is_any_waiting(connection, call.who.organisation_id, worker):
            return {"run": None}
    with call.plane.writing(call.who) as writing:
        return {"run": claim_run(writing, worker)}


def _beat(call: Call) -> dict[str, Any]:
    body: BeatBody = call.body
    with call.plane.writing(call.who) as writing:
        return beat_run(writing, call.path["id"], Beat(**body.model_dump()))


def _end(call: Call) -> dict[str, Any]:
    body: EndBody = call.body
    exported = None if body.exported is None else body.exported.model_dump(by_alias=True)
    end = End(**{**body.model_dump(), "exported": exported})
    with call.plane.writing(call.who) as writing:
        return run_as_json(writing.connection, end_claimed(writing, call.path["id"], end))


TRAINING_OPERATIONS: Final = (
    Operation("POST", "/v1/training-runs", "Queue a training run", TRAINER, _start, objects.TrainingRun,
              takes=NewRun, status=201),
    Operation("GET", "/v1/training-runs", "The runs of this key, or all with their positions in the queue", READER,
              _list, objects.TrainingRuns, asks=RunQuery),
    Operation("GET", "/v1/training-runs/{id}", "One training run", READER, _get, objects.TrainingRun),
    Operation("POST", "/v1/training-runs/{id}/cancel", "Cancel a training run", TRAINER, _cancel,
              objects.TrainingRun, takes=WithReason),
    Operation("GET", "/v1/training-runs/{id}/logs", "Lines of its log, from a number on", READER, _logs,
              objects.TrainingLog, asks=LogQuery),
    Operation("GET", "/v1/training-runs/{id}/metrics", "Its metrics, thinned to a curve", READER, _metrics,
              objects.TrainingMetrics),
    Operation("POST", "/v1/training-workers/claim", "Take the oldest run that this worker can do", TRAINER, _claim,
              objects.TrainingClaimAnswer, takes=ClaimBody),
    Operation("POST", "/v1/training-runs/{id}/beat", "Keep the lease of a run, and say how far it is", TRAINER,
              _beat, objects.TrainingOrders, takes=BeatBody),
    Operation("POST", "/v1/training-runs/{id}/end", "Say how a run ended", TRAINER, _end, objects.TrainingRun,
              takes=EndBody),
)  # fmt: skip
