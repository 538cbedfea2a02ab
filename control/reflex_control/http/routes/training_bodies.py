"""What the operations on datasets and training runs take; bounds and defaults of a run are `reflex.training`'s."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from reflex.training.port import (
    MAX_LINE_CHARACTERS,
    MAX_LINES_A_BEAT,
    MAX_METRICS_A_BEAT,
    MAX_OTHERS,
    EndState,
    WorkerFacts,
)
from reflex.training.request import (
    MOST_CHARACTERS,
    MOST_STEPS,
    Dtype,
    Family,
    LoraOptions,
    Method,
    Then,
    TrainingRequest,
)
from reflex.training.states import DatasetState, RunState
from reflex_control.http.routes.bodies import Body, Document, Identity, Name, Query, Reason

__all__ = ["BeatBody", "ClaimBody", "EndBody", "LogQuery", "NewDatasetBody", "NewRun", "RunQuery", "ValidationBody"]

MOST: Final = 2**53
"""What JSON's numbers hold exactly everywhere."""

ASKED: Final = TrainingRequest(dataset_id="", base="")
LORA: Final = LoraOptions()
"""What holds where nothing is given."""

Count = Annotated[int, Field(ge=0, le=MOST)]
Step = Annotated[int, Field(ge=0, le=MOST_STEPS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Place = Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]+$")]
Line = Annotated[str, StringConstraints(max_length=MAX_LINE_CHARACTERS)]
Lines = Annotated[list[Line], Field(max_length=MAX_LINES_A_BEAT, default_factory=list)]
FirstLine = Annotated[int, Field(ge=0, le=10**9)]


class NewDatasetBody(Body):
    name: Name
    place: Place
    content_hash: Name
    files: Count
    size_bytes: Count


class ValidationBody(Body):
    content_hash: Name
    state: DatasetState
    verdict: Document | None = None


class LoraBody(Body):
    rank: int = LORA.rank
    alpha: int = LORA.alpha
    dropout: float = LORA.dropout


class NewRun(Body):
    """Types alone: the bounds are checked together, so that a refusal names all that are broken."""

    dataset_id: Identity
    base: Place
    method: Method = ASKED.method
    steps: int = ASKED.steps
    batch_size: int = ASKED.batch_size
    seed: int = ASKED.seed
    save_every: int | None = None
    warmup_steps: int | None = None
    dtype: Dtype = ASKED.dtype
    learning_rate: float | None = None
    lora: LoraBody | None = None
    then: Annotated[list[Then], Field(max_length=8, default_factory=list)]
    name: Name | None = None
    request_id: Annotated[Name, Field(max_length=200)] | None = None

    def request(self) -> TrainingRequest:
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "request_id"}
        lora = None if self.lora is None else LoraOptions(**self.lora.model_dump())
        return TrainingRequest(**{**fields, "lora": lora, "then": tuple(self.then)})


class RunQuery(Query):
    all: bool = False
    """Of the whole organisation; else those of the key that asks."""
    state: RunState | None = None
    after: Identity | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000


class LogQuery(Query):
    after: Count = 0
    """The number of the first line that is wanted."""
    limit: Annotated[int, Field(ge=1, le=2000)] = 1000


class ClaimBody(Body):
    worker_id: Identity
    name: Name
    gpu_memory_bytes: Count | None = None
    families: Annotated[list[Family], Field(max_length=16, default_factory=list)]

    def facts(self) -> WorkerFacts:
        return WorkerFacts(
            worker_id=self.worker_id, name=self.name, gpu_memory_bytes=self.gpu_memory_bytes,
            families=tuple(self.families),
        )  # fmt: skip


class MetricBody(Body):
    step: Step
    loss: Number | None = None
    grad_norm: Number | None = None
    lr: Number | None = None
    update_s: Number | None = None
    data_s: Number | None = None
    others: Annotated[dict[Name, Number], Field(max_length=MAX_OTHERS, default_factory=dict)]


class BeatBody(Body):
    lease_id: Identity
    state: Literal["provisioning", "running"]
    step: Step
    metrics: Annotated[list[MetricBody], Field(max_length=MAX_METRICS_A_BEAT, default_factory=list)]
    log: Lines
    first_line: FirstLine = 0


class ExportedBody(Body):
    policy: Name
    model_hash: Name
    repository: Place
    parity: Annotated[Document, Field(default_factory=dict)]


class EndBody(Body):
    lease_id: Identity
    state: EndState
    reason: Reason
    steps: Step
    exported: ExportedBody | None = None
    log: Lines
    first_line: FirstLine = 0
