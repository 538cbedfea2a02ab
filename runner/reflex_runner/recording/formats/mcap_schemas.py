"""The messages of an MCAP recording, as JSON schemas. Foxglove knows its own by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CHUNK", "IMAGE", "JOINTS", "LOG", "Schema"]

NUMBER: Final = {"type": "number"}
INTEGER: Final = {"type": "integer"}
TEXT: Final = {"type": "string"}
TIME: Final = {"type": "object", "title": "time", "properties": {"sec": INTEGER, "nsec": INTEGER}}


@dataclass(frozen=True)
class Schema:
    """One kind of message."""

    name: str
    schema: Mapping[str, Any]


def _schema(name: str, /, **properties: Mapping[str, Any]) -> Schema:
    return Schema(name, {"title": name, "type": "object", "properties": {"timestamp": TIME, **properties}})


IMAGE: Final = _schema(
    "foxglove.CompressedImage", frame_id=TEXT, data={"type": "string", "contentEncoding": "base64"}, format=TEXT
)
LOG: Final = _schema("foxglove.Log", level=INTEGER, message=TEXT, name=TEXT, file=TEXT, line=INTEGER)
JOINTS: Final = _schema(
    "reflex.Joints",
    seq=INTEGER,
    step=INTEGER,
    did=TEXT,
    applied={"type": "boolean"},
    joints={"type": "array", "items": {"type": "object", "properties": {"label": TEXT, "value": NUMBER}}},
)
CHUNK: Final = _schema(
    "reflex.Chunk",
    t=NUMBER,
    received=NUMBER,
    seq=INTEGER,
    step_s=NUMBER,
    actions={"type": "array", "items": {"type": "array", "items": NUMBER}},
    answer={"type": "object"},
)
