"""Every operation on datasets and training runs, once; both clients have them as methods, as those of `asks`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reflex.control import training_objects as objects
from reflex.control.ask import Ask, create, get, post
from reflex.training.forms import as_json
from reflex.training.port import Ending, Progress, WorkerFacts
from reflex.training.refusing import require_within_bounds
from reflex.training.request import TrainingRequest
from reflex.training.states import DatasetState, RunState

__all__ = [
    "beat_training_run",
    "cancel_training_run",
    "claim_training_run",
    "end_training_run",
    "get_dataset",
    "get_training_log",
    "get_training_metrics",
    "get_training_run",
    "list_datasets",
    "list_training_runs",
    "note_dataset_validation",
    "register_dataset",
    "start_training_run",
]


def register_dataset(*, name: str, place: str, content_hash: str, files: int, size_bytes: int) -> Ask[objects.Dataset]:
    """Register a dataset by its content; `place` is where workers find it, a folder or a hub id."""
    return create("/v1/datasets", holds="id", name=name, place=place, content_hash=content_hash, files=files,
                  size_bytes=size_bytes)  # fmt: skip


def list_datasets() -> Ask[objects.Datasets]:
    """Every dataset of the organisation."""
    return get("/v1/datasets", holds="datasets")


def get_dataset(dataset_id: str) -> Ask[objects.Dataset]:
    """One dataset, with what its validation found."""
    return get("/v1/datasets/{}", dataset_id, holds="id")


def note_dataset_validation(
    dataset_id: str, *, content_hash: str, state: DatasetState, verdict: Mapping[str, Any] | None = None
) -> Ask[objects.Dataset]:
    """Say that a validation of this content begins, what it found, or, with `registered`, that it was given up."""
    return post("/v1/datasets/{}/validation", dataset_id, holds="id", content_hash=content_hash, state=state,
                verdict=verdict)  # fmt: skip


def start_training_run(request: TrainingRequest, *, request_id: str | None = None) -> Ask[objects.TrainingRun]:
    """Queue a run; the same `request_id` is the same run. `ServiceError` names every bound that it breaks."""
    require_within_bounds(request)
    fields = {**as_json(request), "requestId": request_id}
    return create("/v1/training-runs", holds="id", **fields)


def list_training_runs(
    *, all: bool = False, state: RunState | None = None, after: str | None = None, limit: int | None = None  # noqa: A002
) -> Ask[objects.TrainingRuns]:  # fmt: skip
    """Your key's runs, oldest first, or `all` with their positions in the queue; a page at a time, by `nextAfter`."""
    return get("/v1/training-runs", holds="runs", all="true" if all else None, state=state, after=after, limit=limit)


def get_training_run(run_id: str) -> Ask[objects.TrainingRun]:
    """One run: its state, its position in the queue, and how far it is."""
    return get("/v1/training-runs/{}", run_id, holds="id")


def get_training_log(run_id: str, *, after: int = 0, limit: int | None = None) -> Ask[objects.TrainingLog]:
    """Lines of its log from the number `after` on; `nextLine` asks for what follows, now or later."""
    return get("/v1/training-runs/{}/logs", run_id, holds="lines", after=after, limit=limit)


def get_training_metrics(run_id: str) -> Ask[objects.TrainingMetrics]:
    """Loss, gradient norm and learning rate by the steps; of a long run every so many."""
    return get("/v1/training-runs/{}/metrics", run_id, holds="metrics")


def cancel_training_run(run_id: str, *, reason: str | None = None) -> Ask[objects.TrainingRun]:
    """Cancel a run: at once where it waits, else by its worker, which hears of it at its next beat."""
    return post("/v1/training-runs/{}/cancel", run_id, holds="id", reason=reason)


def claim_training_run(worker: WorkerFacts) -> Ask[objects.TrainingClaimAnswer]:
    """Take the oldest run that the worker can do."""
    return post("/v1/training-workers/claim", holds="run", **as_json(worker))


def beat_training_run(run_id: str, lease_id: str, progress: Progress) -> Ask[objects.TrainingOrders]:
    """Keep the lease, and say how far the run is."""
    return post("/v1/training-runs/{}/beat", run_id, holds="isCancelled", leaseId=lease_id, **as_json(progress))


def end_training_run(run_id: str, lease_id: str, ending: Ending) -> Ask[objects.TrainingRun]:
    """Say how the run ended; saying it again changes nothing."""
    return post("/v1/training-runs/{}/end", run_id, holds="id", leaseId=lease_id, **as_json(ending))
