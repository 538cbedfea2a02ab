"""A recording's happenings as JSON objects, one a line: numbers as short as float32 needs, times in Unix seconds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.connector import Observation
from reflex.guard import Violation
from reflex_runner.recording.moments import Moments
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["chunk_line", "event_line", "held_to", "numbers", "observation_line", "tick_line", "to_line"]

FloatArray = npt.NDArray[np.float32]
Line = dict[str, Any]


def to_line(line: Mapping[str, Any]) -> bytes:
    """One line of UTF-8. A value that JSON does not know is told as text."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace") + b"\n"


def numbers(values: FloatArray | None) -> Any:  # noqa: ANN401  # nested lists, as deep as the array
    """The shortest decimals that read back to the same float32; None for what is not finite, which JSON lacks."""
    if values is None:
        return None
    array = np.asarray(values, np.float32)
    if array.ndim > 1:
        return [numbers(row) for row in array]
    return [float(str(value)) if math.isfinite(value) else None for value in array]


def observation_line(seq: int, observation: Observation, pictures: Mapping[str, str], moments: Moments) -> Line:
    """`pictures`: by camera, the file that holds it."""
    line: Line = {"kind": "observation", "t": moments.unix_s(observation.captured_s), "seq": seq}
    line["state"] = numbers(observation.state)
    if pictures:
        line["pictures"] = dict(pictures)
    return line if observation.task is None else line | {"task": observation.task}


def chunk_line(chunk: DatedChunk, moments: Moments) -> Line:
    return {
        "kind": "chunk",
        "t": moments.unix_s(chunk.captured_s),
        "received": moments.unix_s(chunk.received_s),
        "seq": chunk.seq,
        "step_s": chunk.step_s,
        "actions": numbers(chunk.actions),
        "answer": {key: value for key, value in chunk.answer.items() if key != "actions"},
    }


def tick_line(tick: Tick, moments: Moments) -> Line:
    line: Line = {"kind": "tick", "t": moments.unix_s(tick.at_s), "step": tick.step, "did": tick.kind}
    for name in ("measured", "wanted", "command"):
        values = getattr(tick, name)
        if values is not None:
            line[name] = numbers(values)
    line |= {"applied": tick.applied, "late_s": round(tick.late_s, 6)}
    if tick.chunk_seq is not None:
        line["chunk_seq"] = tick.chunk_seq
    if tick.violations:
        line["violations"] = [violation._asdict() for violation in tick.violations]
    return line


def held_to(broken: Violation) -> str:
    """What the guard changed, for people."""
    return f"{broken.name}: {broken.value:g} was held to {broken.limit:g} ({broken.kind})"


def event_line(event: Event, moments: Moments) -> Line:
    return {
        "kind": "event",
        "t": moments.unix_s(event.at_s),
        "level": event.level,
        "code": event.code,
        "message": event.message,
    }
