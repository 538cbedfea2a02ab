"""The lines of a recording, schema version 1: what the recorder writes and what every reader takes apart.

A line is one JSON object whose `kind` names its type here; the other keys are the fields of that type. Keys and kinds
that this version does not know are ignored, so a newer Reflex may add some. docs/traces.md explains each field.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from reflex.errors import SetupError
from reflex.printable import printable
from reflex.wire import SlotName

__all__ = [
    "SCHEMA_VERSION",
    "Chunk",
    "DroppedRecord",
    "ImageRecord",
    "PolicyRecord",
    "RecordLine",
    "RequestRecord",
    "RtcRecord",
    "ShadowRecord",
    "TimingRecord",
    "TraceHeader",
    "TraceVersionError",
    "ViolationRecord",
    "parse_line",
    "to_line",
]

SCHEMA_VERSION: Final = 1
MAX_AXES: Final = 4_096
"""No robot has more; a damaged number must not become the length of a table."""

LATEST_AT: Final = 253_402_300_799.0
"""The end of the year 9999, beyond which no calendar goes."""
LONGEST_MS: Final = 1e9
"""Twelve days."""

Label: TypeAlias = Annotated[str, AfterValidator(printable)]
"""A name that is shown to people, in a terminal or on a page."""
Moment: TypeAlias = Annotated[float, Field(ge=0, le=LATEST_AT)]
"""Unix seconds."""
Milliseconds: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_MS)]

Encoder: TypeAlias = Callable[[object], bytes]

_STRICT: Final = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


class TraceVersionError(SetupError):
    """A recording of another schema version; it must not be misread."""

    code = "trace_version"


def _as_chunk(value: object) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        chunk = np.asarray(value, np.float32)
    if chunk.ndim != 2 or chunk.size == 0 or not np.isfinite(chunk).all():
        raise ValueError("a chunk is a finite [steps, axes]")
    return chunk


Chunk: TypeAlias = Annotated[npt.NDArray[np.float32], PlainValidator(_as_chunk)]
"""float32 [steps, axes]; as text the shortest decimals that read back to the same float32."""


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """The policy of a slot while the lines below its header were written."""

    __pydantic_config__ = _STRICT
    policy_id: Label
    policy_hash: Label
    model_version: Label
    family: Label
    embodiment: Label
    state_dim: int
    action_dim: int
    horizon: int
    denoising_steps: int
    noise_dim: int
    action_names: tuple[Label, ...]
    control_hz: float | None = None


@dataclass(frozen=True, slots=True)
class TraceHeader:
    """The first line of every file, and again whenever a slot gets another policy: it holds for the lines below it.

    `policies` has the keys "a", "b" and "shadow", of which only "a" is always there. `started_at` is Unix seconds.
    """

    __pydantic_config__ = _STRICT
    server_id: Label
    started_at: Moment
    reflex_version: Label
    policies: Mapping[str, PolicyRecord]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`guard`, `split`, `record_images` and other settings that change answers; never a secret."""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One camera's image. `sha256` and `data` (base64) are of the file as sent, or of raw RGB height x width x 3."""

    __pydantic_config__ = _STRICT
    sha256: str
    width: int | None = None
    height: int | None = None
    encoding: Literal["jpeg", "png", "raw"] | None = None
    data: str | None = None


@dataclass(frozen=True, slots=True)
class ViolationRecord:
    """One value that the guard changed; the fields of `reflex.guard.Violation` in its order."""

    __pydantic_config__ = _STRICT
    step: int
    axis: Annotated[int, Field(ge=0, lt=MAX_AXES)]
    name: Label
    value: float
    limit: float
    kind: Label


@dataclass(frozen=True, slots=True)
class TimingRecord:
    """Where `latency_ms` went."""

    __pydantic_config__ = _STRICT
    decode_ms: float
    queue_ms: float
    infer_ms: float
    guard_ms: float


@dataclass(frozen=True, slots=True)
class RtcRecord:
    """Inputs of real-time chunking: the normalised rest of the chunk before, its weights [steps], and their bound.

    `executed_steps` of the chunk before are not in the rest; None where the client sent the rest itself.
    """

    __pydantic_config__ = _STRICT
    prev_chunk: Chunk
    weights: tuple[float, ...]
    max_guidance: float
    executed_steps: int | None = None
    delay_steps: int | None = None
    """How many actions were taken to be executed before the answer was there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RequestRecord:
    """One request of `/act` and what came of it. Robot units; `at` is Unix seconds of its answer.

    `actions_raw` is before correction and guard; `actions` is None when these changed nothing, see `answered`. Both are
    None for an error. `seed` is set whenever a model ran, also when the client sent none.
    """

    __pydantic_config__ = _STRICT
    record_seq: Annotated[int, Field(ge=1)]
    at: Moment
    episode_id: str | None = None
    request_id: str
    session_id: Label | None = None
    """Of the control plane, where the server asks for one."""
    mode: Label | None = None
    """What that session allowed: dry_run or apply_actions."""
    slot: SlotName
    policy: Label
    """The model version that answered, `name@hash`."""
    routing_degraded: bool = False
    status: int
    error: Label | None = None
    instruction: str = ""
    state: tuple[float, ...] = ()
    images: Mapping[str, ImageRecord] = field(default_factory=dict)
    seed: int | None = None
    seed_from_client: bool = False
    actions_raw: Chunk | None = None
    actions: Chunk | None = None
    guard_clamped: bool = False
    violations: tuple[ViolationRecord, ...] = ()
    latency_ms: Milliseconds = 0.0
    timing: TimingRecord | None = None
    denoising_steps: int | None = None
    a2c2_applied: bool = False
    """Whether the actions were corrected for latency."""
    rtc: RtcRecord | None = None
    rtc_reason: Label | None = None
    """Why real-time chunking continued nothing; None where it did, or was off."""
    prev_actions: tuple[tuple[float, ...], ...] | None = None
    """What the client sent of the chunk that it was executing, robot units."""

    @property
    def answered(self) -> npt.NDArray[np.float32] | None:
        """The chunk that the client got."""
        return self.actions_raw if self.actions is None else self.actions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShadowRecord:
    """What the shadow policy said to the request of the same server and `record_seq`; written later than that.

    `cosine` and `max_abs` (per axis, robot units) compare the raw chunks; None when the shadow failed with `error`.
    """

    __pydantic_config__ = _STRICT
    record_seq: Annotated[int, Field(ge=1)]
    at: Moment | None = None
    policy: Label
    actions_raw: Chunk | None = None
    cosine: float | None = None
    max_abs: tuple[float, ...] | None = None
    latency_ms: Milliseconds | None = None
    violations: int | None = None
    error: Label | None = None


@dataclass(frozen=True, slots=True)
class DroppedRecord:
    """`count` requests were answered but not recorded, for the writer was behind."""

    __pydantic_config__ = _STRICT
    count: Annotated[int, Field(ge=0)]
    at: Moment | None = None


RecordLine: TypeAlias = TraceHeader | RequestRecord | ShadowRecord | DroppedRecord


def _known_version(version: int) -> int:
    if version != SCHEMA_VERSION:
        raise TraceVersionError(
            f"the recording has schema version {version}, this Reflex reads version {SCHEMA_VERSION}; "
            "read it with the Reflex that wrote it"
        )
    return version


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is read of a line first: what kind it is, and of a header whether the rest can be understood."""

    __pydantic_config__ = _STRICT
    kind: str
    schema_version: Annotated[int, AfterValidator(_known_version)] | None = None


_KIND: Final = TypeAdapter(_Kind)
_NAME_OF: Final[Mapping[type[RecordLine], str]] = {
    TraceHeader: "header", RequestRecord: "request", ShadowRecord: "shadow", DroppedRecord: "dropped",
}  # fmt: skip
_PARSER_OF: Final[Mapping[str, TypeAdapter[Any]]] = {name: TypeAdapter(kind) for kind, name in _NAME_OF.items()}


def parse_line(line: bytes) -> RecordLine | None:
    """One line of a recording; None for a kind that this version does not know.

    Raises `ValueError` for a line that is damaged, and `TraceVersionError` for a header of another schema version.
    """
    try:
        found = _KIND.validate_json(line)
        if found.kind == "header" and found.schema_version is None:
            raise ValueError("no line of a recording: a header without schema_version")
        parser = _PARSER_OF.get(found.kind)
        record: RecordLine | None = None if parser is None else parser.validate_json(line)
    except ValidationError as exc:
        raise ValueError(f"no line of a recording: {exc.errors()[0]['msg']}") from exc
    return record


def to_line(record: RecordLine, encode: Encoder | None = None) -> bytes:
    """One line with its newline. `encode` turns dicts, dataclasses and float32 arrays into JSON without newlines.

    The server passes orjson with OPT_SERIALIZE_NUMPY, which is quicker than what is used without.
    """
    fields: dict[str, object] = {"kind": _NAME_OF[type(record)]}
    if isinstance(record, TraceHeader):
        fields["schema_version"] = SCHEMA_VERSION
    fields |= {part.name: getattr(record, part.name) for part in dataclasses.fields(record)}
    return (encode or _encode)(fields) + b"\n"


def _encode(value: object) -> bytes:
    return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":")).encode("ascii")


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        # A float32's own shortest text, read as a Python float, whose shortest text is the same again.
        return [_plain(row) for row in value] if value.ndim > 1 else [float(str(item)) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no place in a recording")
