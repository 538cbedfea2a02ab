"""The frames of `WS /act/stream` on the server's side: untrusted bytes in, checked frames out, and back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import orjson

from reflex.errors import ServiceError
from reflex.wire import (
    DEFAULT_DEADLINE_MS,
    ActResult,
    error_envelope,
)
from reflex.wire.arrays import PLAIN, array_map
from reflex.wire.packing import pack
from reflex.wire.stream import MAX_SEQ, ChunkFrame, ErrorFrame, ReadyFrame
from reflex_frontend.observation.packed import unpacked
from reflex_frontend.observation.request import (
    checked_instruction,
    deadline_ms_of,
    identifier_of,
    refuse,
    refuse_many_numbers,
)

__all__ = [
    "AnyFrame",
    "Defaults",
    "Frame",
    "chunk_frame",
    "error_frame",
    "read_frame",
    "seq_of",
    "write_frame",
]

AnyFrame = ReadyFrame | ChunkFrame | ErrorFrame

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a client, read as far as every kind has it; `fields` are still unchecked."""

    kind: str
    is_text: bool
    """Whatever answers it comes in the same kind."""
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the last `hello` said. It is kept as long as the stream lives, so it is checked when it is said."""

    fields: Mapping[str, str] = field(default_factory=dict)
    deadline_ms: float = DEFAULT_DEADLINE_MS

    @classmethod
    def of(cls, hello: Frame) -> Defaults:
        """Raises `ServiceError` for what an observation would be refused for: wrong_type, instruction_too_long."""
        episode_id, said = identifier_of(hello.fields, "episode_id"), hello.fields.get("instruction")
        fields = {} if episode_id is None else {"episode_id": episode_id}
        if said is not None:
            fields["instruction"] = checked_instruction(said)
        return cls(fields, deadline_ms_of(hello.fields, DEFAULT_DEADLINE_MS))

    def under(self, observation: Frame) -> Mapping[str, Any]:
        """The fields of an observation, with these where it says nothing."""
        own = {name: value for name, value in observation.fields.items() if value is not None}
        return {**self.fields, **own}


def read_frame(data: bytes | str) -> Frame:
    """Raises `ServiceError` invalid_json, image_too_large, invalid_msgpack or wrong_type for what is no frame."""
    fields = _json(data) if isinstance(data, str) else unpacked(data)[0]
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise refuse("wrong_type", "a frame must be an object with a type", field="type")
    return Frame(fields["type"], isinstance(data, str), fields)


def seq_of(frame: Frame, after: int) -> int:
    """The number of an observation; raises `ServiceError` unless it is greater than `after`."""
    seq = frame.fields.get("seq")
    if type(seq) is not int or not after < seq <= MAX_SEQ:
        raise refuse("wrong_type", "seq must be an integer from 0 to 2^63 - 1 that grows with every observation",
                     field="seq")  # fmt: skip
    return seq


def chunk_frame(seq: int, result: ActResult, routed: Mapping[str, Any]) -> ChunkFrame:
    """`routed` is what two-policy mode adds."""
    return {**result, **routed, "type": "chunk", "seq": seq}  # type: ignore[typeddict-item]  # fields of the same type


def error_frame(error: ServiceError, seq: int | None, routed: Mapping[str, Any] = _NOTHING) -> ErrorFrame:
    frame: dict[str, Any] = {**error_envelope(error, str(uuid.uuid4())), **routed, "type": "error"}
    frame["status"] = error.status
    if seq is not None:
        frame["seq"] = seq
    return frame  # type: ignore[return-value]  # an envelope has these fields


def write_frame(frame: AnyFrame, *, is_text: bool) -> bytes | str:
    """JSON with arrays as lists, or msgpack with arrays as they lie in memory."""
    if is_text:
        return orjson.dumps(frame, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return pack({name: _written(value) for name, value in frame.items()})


def _written(value: object) -> object:
    return array_map(value, PLAIN) if isinstance(value, np.ndarray) else value


def _json(text: str) -> object:
    refuse_many_numbers(text)  # a parser holds every thread up
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise refuse("invalid_json", "a text frame must be JSON (RFC 8259)") from None
