"""One organisation with a dataset, and short words for what is done to datasets and runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from reflex.training.port import WorkerFacts
from reflex.training.request import TrainingRequest
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.store.tables import event
from reflex_control.training.datasets import NewDataset, Validation, note_validation, register_dataset
from reflex_control.training.queue import Beat, End, beat_run, claim_run, end_claimed
from reflex_control.training.runs import cancel_run, find_run, run_as_json, start_run
from unit.reflex_control.conftest import Moment

HASH = "sha256:" + "ab" * 32
OTHER_HASH = "sha256:" + "cd" * 32
WORKER = WorkerFacts(worker_id="worker_1", name="gpu box", families=("act", "smolvla"))
VERDICT = {"errors": 0, "warnings": 1}


@dataclass
class Scene:
    plane: Plane
    moment: Moment
    actor: Actor

    def register(self, content_hash: str = HASH, place: str = "cubes", **other: Any) -> dict[str, Any]:
        new = NewDataset(name="cubes", place=place, content_hash=content_hash, files=3, size_bytes=30)
        with self.plane.writing(other.get("actor", self.actor)) as writing:
            return register_dataset(writing, new)

    def validate(self, dataset_id: str, state: Any, content_hash: str = HASH, verdict: Any = None) -> dict[str, Any]:
        told = Validation(content_hash=content_hash, state=state, verdict=verdict)
        with self.plane.writing(self.actor) as writing:
            return note_validation(writing, dataset_id, told)

    def valid(self) -> str:
        identity = str(self.register()["id"])
        self.validate(identity, "validating")
        self.validate(identity, "valid", verdict=VERDICT)
        return identity

    def request(self, **changed: Any) -> TrainingRequest:
        dataset_id = changed.pop("dataset_id", None) or self.valid()
        return dataclasses.replace(TrainingRequest(dataset_id=dataset_id, base="act", steps=100), **changed)

    def start(self, request_id: str | None = None, **changed: Any) -> dict[str, Any]:
        request = self.request(**changed)
        with self.plane.writing(self.actor) as writing:
            return start_run(writing, request, request_id)

    def claim(self, worker: WorkerFacts = WORKER) -> dict[str, Any] | None:
        with self.plane.writing(self.actor) as writing:
            return claim_run(writing, worker)

    def claimed(self, worker: WorkerFacts = WORKER) -> dict[str, Any]:
        found = self.claim(worker)
        assert found is not None
        return found

    def beat(self, claim: dict[str, Any], step: int = 1, **more: Any) -> dict[str, Any]:
        beat = Beat(**{"lease_id": claim["leaseId"], "state": "running", "step": step, **more})
        with self.plane.writing(self.actor) as writing:
            return beat_run(writing, claim["runId"], beat)

    def end(self, claim: dict[str, Any], state: Any = "succeeded", **more: Any) -> dict[str, Any]:
        end = End(**{"lease_id": claim["leaseId"], "state": state, "reason": "done", "steps": 100, **more})
        with self.plane.writing(self.actor) as writing:
            return run_as_json(writing.connection, end_claimed(writing, claim["runId"], end))

    def cancel(self, run_id: str) -> dict[str, Any]:
        with self.plane.writing(self.actor) as writing:
            return run_as_json(writing.connection, cancel_run(writing, run_id, None))

    def run(self, run_id: str) -> dict[str, Any]:
        with self.plane.reading() as connection:
            return run_as_json(connection, find_run(connection, self.actor.organisation_id, run_id))

    def receipts(self) -> list[dict[str, Any]]:
        with self.plane.reading() as connection:
            return receipts_of(connection, self.actor.organisation_id)

    def told(self, kind: str) -> list[dict[str, Any]]:
        with self.plane.reading() as connection:
            return list(connection.scalars(select(event.c.data).where(event.c.kind == kind).order_by(event.c.seq)))
