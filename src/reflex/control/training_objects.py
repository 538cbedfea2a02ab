"""What the control plane answers about datasets and training runs: its JSON objects, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from reflex.training.states import DatasetState, RunState

__all__ = [
    "Dataset",
    "Datasets",
    "TrainingClaim",
    "TrainingClaimAnswer",
    "TrainingLine",
    "TrainingLog",
    "TrainingMetric",
    "TrainingMetrics",
    "TrainingOrders",
    "TrainingRun",
    "TrainingRuns",
]


class Dataset(TypedDict):
    """`place` is where a worker finds it, a folder or a hub id; `verdict` what its validation found."""

    id: str
    name: str
    place: str
    contentHash: str
    state: DatasetState
    verdict: Mapping[str, Any] | None
    files: int
    sizeBytes: int
    createdAt: str
    changedAt: str
    validatedAt: str | None


class Datasets(TypedDict):
    datasets: list[Dataset]


class TrainingRun(TypedDict):
    """`position` is that in the queue, from 1 on; `newest` the last metric that the trainer told."""

    id: str
    requestId: str | None
    datasetId: str
    datasetHash: str
    request: Mapping[str, Any]
    state: RunState
    position: int | None
    reason: str | None
    isCancelAsked: bool
    attempt: int
    step: int
    steps: int
    newest: Mapping[str, Any] | None
    worker: Mapping[str, Any] | None
    exported: Mapping[str, Any] | None
    modelId: str | None
    createdAt: str
    startedAt: str | None
    lastBeatAt: str | None
    endedAt: str | None


class TrainingRuns(TypedDict):
    """`nextAfter` asks for the next page; None when there is none."""

    runs: list[TrainingRun]
    nextAfter: str | None


class TrainingLine(TypedDict):
    number: int
    text: str


class TrainingLog(TypedDict):
    """`nextLine` asks for what follows, `firstKept` is the oldest line that is kept; whole: no line will follow."""

    lines: list[TrainingLine]
    nextLine: int
    firstKept: int
    state: RunState
    isWhole: bool


class TrainingMetric(TypedDict):
    step: int
    at: str
    loss: float | None
    gradNorm: float | None
    lr: float | None
    updateS: float | None
    dataS: float | None
    others: Mapping[str, float]


class TrainingMetrics(TypedDict):
    runId: str
    metrics: list[TrainingMetric]


class TrainingClaim(TypedDict):
    runId: str
    leaseId: str
    leaseSeconds: float
    request: Mapping[str, Any]
    datasetPath: str
    datasetHash: str
    attempt: int
    nextLine: int


class TrainingClaimAnswer(TypedDict):
    """None while there is nothing that this worker can do."""

    run: TrainingClaim | None


class TrainingOrders(TypedDict):
    isCancelled: bool
