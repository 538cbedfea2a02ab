"""What waits to be written, as a message and back: numbers as the bytes of float32, pictures as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame, Observation
from reflex.guard import Violation
from reflex_runner.recording.messages import Content, Words
from reflex_runner.recording.pictures import Picture
from reflex_runner.recording.waiting_line import NAMES, Entry, Happening, Marker, Observed
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["packed", "unpacked"]

FloatArray = npt.NDArray[np.float32]
Arrays = Mapping[str, FloatArray | None]
OF_TICK: Final = ("measured", "wanted", "command")


def packed(entry: Entry) -> tuple[Words, list[Content]]:
    """The words, and the bytes of the arrays and pictures that they tell of, in that order."""
    told, arrays = _told(entry.what)
    given = {name: np.ascontiguousarray(each, np.float32) for name, each in arrays.items() if each is not None}
    shown = {camera: _shown(picture) for camera, picture in entry.pictures.items()}
    words = {
        "kind": NAMES[type(entry.what)], "told": told,
        "arrays": {name: each.shape for name, each in given.items()},
        "pictures": {camera: words for camera, (words, _) in shown.items()},
    }  # fmt: skip
    return words, [*(each.tobytes() for each in given.values()), *(content for _, content in shown.values())]


def unpacked(words: Words, contents: list[bytearray]) -> Entry:
    """The entry that was packed; of an observation's pictures only when they were taken."""
    rest = iter(contents)
    arrays = {
        name: np.frombuffer(next(rest), np.float32).reshape(shape) for name, shape in words["arrays"].items()
    }  # fmt: skip
    pictures = {camera: _picture(shown, rest) for camera, shown in words["pictures"].items()}
    return Entry(READ[words["kind"]](words["told"], arrays), pictures)


def _told(what: Happening) -> tuple[Words, Arrays]:
    match what:
        case Observed():
            return _observed(what), {"state": what.observation.state}
        case DatedChunk():
            return _chunk(what), {"actions": what.actions}
        case Tick():
            return _tick(what), {name: getattr(what, name) for name in OF_TICK}
        case Event():
            return {"at_s": what.at_s, "level": what.level, "code": what.code, "message": what.message}, {}
        case Marker():
            told = {"at_s": what.at_s, "begins": what.begins, "instruction": what.instruction}
            return {**told, "success": what.success}, {}


def _observed(what: Observed) -> Words:
    seen = what.observation
    taken_s = {name: frame.captured_s for name, frame in seen.cameras.items()}
    return {"seq": what.seq, "task": seen.task, "captured_s": seen.captured_s, "taken_s": taken_s}


def _chunk(chunk: DatedChunk) -> Words:
    answer = {key: value for key, value in chunk.answer.items() if key != "actions"}
    times = {"captured_s": chunk.captured_s, "received_s": chunk.received_s, "step_s": chunk.step_s}
    return {"seq": chunk.seq, **times, "answer": answer}


def _tick(tick: Tick) -> Words:
    return {
        "step": tick.step, "at_s": tick.at_s, "kind": tick.kind, "applied": tick.applied,
        "chunk_seq": tick.chunk_seq, "violations": tick.violations, "late_s": tick.late_s,
    }  # fmt: skip


def _read_observed(told: Words, arrays: Mapping[str, Any]) -> Observed:
    cameras = {name: CameraFrame(b"", taken_s) for name, taken_s in told["taken_s"].items()}
    return Observed(told["seq"], Observation(arrays["state"], cameras, told["task"], told["captured_s"]))


def _read_tick(told: Words, arrays: Mapping[str, Any]) -> Tick:
    violations = tuple(Violation(*each) for each in told["violations"])
    return Tick(**{**told, "violations": violations}, **arrays)


Read = Callable[[Any, Mapping[str, Any]], Happening]
READ: Final[Mapping[str, Read]] = {
    "observations": _read_observed,
    "chunks": lambda told, arrays: DatedChunk(**told, **arrays),
    "ticks": _read_tick,
    "events": lambda told, _: Event(**told),
    "markers": lambda told, _: Marker(**told),
}
"""By the name that `NAMES` has for each kind."""


def _shown(picture: Picture) -> tuple[Words, Content]:
    image = picture.image
    if isinstance(image, bytes):
        return {"captured_s": picture.captured_s}, image
    pixels = np.ascontiguousarray(image)
    if pixels.dtype != np.uint8 or not pixels.size:
        return {"captured_s": picture.captured_s}, b""  # whoever writes counts it as none
    return {"captured_s": picture.captured_s, "shape": pixels.shape}, pixels.data.cast("B")


def _picture(shown: Words, contents: Iterator[bytearray]) -> Picture:
    content, shape = next(contents), shown.get("shape")
    image = bytes(content) if shape is None else np.frombuffer(content, np.uint8).reshape(shape)
    return Picture(CameraFrame(image, shown["captured_s"]))
