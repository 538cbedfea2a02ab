"""What a worker asks of the queue of training runs, and what it tells it.

InvalidRequestError
└── LeaseLostError    409 lease_lost: the run is another worker's by now, or has ended
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from reflex.errors import InvalidRequestError
from reflex.training.request import Family, TrainingRequest
from reflex.training.states import RunState

__all__ = [
    "BEAT_S",
    "LEASE_S",
    "MAX_LINES_A_BEAT",
    "MAX_LINE_CHARACTERS",
    "MAX_METRICS_A_BEAT",
    "MAX_OTHERS",
    "MOST_ATTEMPTS",
    "ClaimedRun",
    "EndState",
    "Ending",
    "Exported",
    "LeaseLostError",
    "Metric",
    "Orders",
    "Progress",
    "RunQueue",
    "WorkerFacts",
    "lease_lost",
]

LEASE_S: Final = 60.0
"""A run whose worker is silent for so long goes back into the queue."""
BEAT_S: Final = 5.0
MOST_ATTEMPTS: Final = 10
"""A run that lost so many workers has failed."""
MAX_LINE_CHARACTERS: Final = 2_000
MAX_LINES_A_BEAT: Final = 500
MAX_METRICS_A_BEAT: Final = 200
"""Of one request; what a beat has more of goes in several."""
MAX_OTHERS: Final = 32
"""Of one metric, by their names."""

EndState = Literal["succeeded", "failed", "cancelled"]


class LeaseLostError(InvalidRequestError):
    """The run is no longer this worker's: it ends its child, and forgets the run."""

    code = "lease_lost"

    def __str__(self) -> str:
        return self.message


def lease_lost(run_id: str) -> LeaseLostError:
    """What beat and end raise."""
    words = "this worker has no lease of the run any more: end its trainer, and claim another one"
    return LeaseLostError(LeaseLostError.code, words, status=409, context={"runId": run_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """Who asks for work, and what it can do."""

    worker_id: str
    name: str
    gpu_memory_bytes: int | None = None
    """None: it has no GPU."""
    families: tuple[Family, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """A run, and the lease by which it is this worker's."""

    run_id: str
    lease_id: str
    lease_seconds: float
    request: TrainingRequest
    dataset_path: str
    """The folder or hub id under which the dataset was registered."""
    dataset_hash: str
    attempt: int
    """From 1 on; a later one resumes what an earlier one left."""
    next_line: int = 0
    """The number that the next line of the run's log gets: of all its attempts the control plane has those before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What the trainer said of one step. None: not said, or not finite."""

    step: int
    loss: float | None = None
    grad_norm: float | None = None
    lr: float | None = None
    update_s: float | None = None
    data_s: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    """The policy's own losses, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come. Lines have numbers, so that a beat that is sent twice is no second copy of them."""

    state: RunState
    step: int
    metrics: tuple[Metric, ...] = ()
    log: tuple[str, ...] = ()
    first_line: int = 0
    """The number of the first line of `log` in that of the run, over all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the queue wants of a worker."""

    is_cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The policy that was made of the run."""

    policy: str
    model_hash: str
    """`sha256:` and 64 hexadecimal digits, as in its reflex_config.json."""
    repository: str
    parity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended, and the lines that no beat has told yet."""

    state: EndState
    reason: str
    steps: int
    exported: Exported | None = None
    log: tuple[str, ...] = ()
    first_line: int = 0


class RunQueue(Protocol):
    """Where a worker gets its work. `beat` and `end` raise `LeaseLostError`; each may raise `TransportError`."""

    def claim(self, worker: WorkerFacts) -> ClaimedRun | None:
        """The oldest run that this worker can do; None while there is none."""

    def beat(self, run_id: str, lease_id: str, progress: Progress) -> Orders:
        """Keep the lease, and tell how far the run is."""

    def end(self, run_id: str, lease_id: str, ending: Ending) -> None:
        """The run has ended; saying it again changes nothing."""
