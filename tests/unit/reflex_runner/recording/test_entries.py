"""What the writer unpacks is what happened."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from reflex.connector import CameraFrame, Observation
from reflex.guard import Violation
from reflex_runner.recording.entries import packed, unpacked
from reflex_runner.recording.lines import chunk_line, event_line, observation_line, tick_line
from reflex_runner.recording.moments import Moments
from reflex_runner.recording.pictures import Picture
from reflex_runner.recording.waiting_line import Entry, Happening, Marker, Observed
from reflex_runner.tick import DatedChunk, Event, Tick
from support.run_recording.runs import picture, pose, tick

MOMENTS = Moments(1_000.25, 1e-6)
JPEG = b"\xff\xd8\xff and so on"


def there_and_back(entry: Entry) -> Entry:
    words, contents = packed(entry)
    return unpacked(json.loads(json.dumps(words)), [bytearray(each) for each in contents])


def line_of(what: Happening) -> dict[str, Any]:
    match what:
        case Observed():
            return observation_line(what.seq, what.observation, {}, MOMENTS)
        case DatedChunk():
            return chunk_line(what, MOMENTS)
        case Tick():
            return tick_line(what, MOMENTS)
        case Event():
            return event_line(what, MOMENTS)
        case Marker():
            return {"marker": what}


@pytest.mark.parametrize(
    "what",
    [
        tick(7, 12.000000125),
        tick(8, 3.0, measured=None, wanted=None, command=None, applied=False, chunk_seq=None, kind="wait"),
        tick(9, 3.0, command=np.array([np.nan, np.inf, 1e-45, -0.0, 3.4e38, 0.1], np.float32)),
        tick(9, 3.0, violations=(Violation(0, 2, "elbow_flex", 99.0, 96.8, "above_range"),) * 2),
        Observed(3, Observation(pose(1), {"front": CameraFrame(JPEG, 4.5)}, "stack it", 4.75)),
        Observed(4, Observation(np.zeros(0, np.float32), {}, None, 4.75)),
        DatedChunk(3, 4.5, 4.53, np.arange(60, dtype=np.float32).reshape(10, 6), 0.02, {"actions": [[1.0]], "n": 1}),
        Event(5.5, "error", "clamped", "\ud800 \x00\n"),
        Marker(None, begins=True),
        Marker(6.5, begins=False, instruction="stack", success=False),
    ],
    ids=lambda what: type(what).__name__,
)  # fmt: skip
def test_what_happened_is_written_down_as_if_it_had_never_left_the_process(what: Happening) -> None:
    assert line_of(there_and_back(Entry(what)).what) == line_of(what)


def test_an_observation_still_says_when_its_pictures_were_taken() -> None:
    seen = Observation(pose(1), {"front": CameraFrame(JPEG, 4.5), "wrist": CameraFrame(picture(1), 4.6)}, None, 4.75)
    found = there_and_back(Entry(Observed(3, seen))).what

    assert isinstance(found, Observed)
    assert {name: frame.captured_s for name, frame in found.observation.cameras.items()} == {"front": 4.5, "wrist": 4.6}


@pytest.mark.parametrize(
    "image",
    [picture(5), picture(5)[::2, ::-1], JPEG, picture(5).astype(np.float32), np.zeros((0, 4, 3), np.uint8), b""],
    ids=["pixels", "a view of pixels", "a file", "other numbers", "no pixels", "no bytes"],
)
def test_a_picture_arrives_as_it_was_and_what_is_none_as_none(image: Any) -> None:
    before = Picture(CameraFrame(image, 1.5))
    after = there_and_back(Entry(tick(0, 1.0), {"front": before})).pictures["front"]

    assert (after.captured_s, after.encoded) == (1.5, before.encoded)
    assert (after.pixels is None) == (before.pixels is None)
    if before.pixels is not None:
        assert np.array_equal(np.array(after.pixels), before.pixels)


def test_several_pictures_and_arrays_do_not_change_places() -> None:
    shown = {"front": Picture(CameraFrame(picture(1), 1.0)), "file": Picture(CameraFrame(JPEG, 1.1)),
             "wrist": Picture(CameraFrame(picture(2), 1.2))}  # fmt: skip
    found = there_and_back(Entry(tick(4, 1.0), shown))

    assert line_of(found.what) == line_of(tick(4, 1.0))
    assert [found.pictures[name].captured_s for name in ("front", "file", "wrist")] == [1.0, 1.1, 1.2]
    assert found.pictures["file"].encoded == JPEG
    assert np.array_equal(np.array(found.pictures["wrist"].pixels), picture(2))
