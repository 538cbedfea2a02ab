"""What a line says of a request, and of its images."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import numpy as np
import pytest

from reflex.guard import Violation
from reflex.traces.schema import RequestRecord, RtcRecord, parse_line, to_line
from reflex_frontend.observing.recording.entry import entry_size_bytes, recordable_images, request_record
from reflex_frontend.observing.recording.images import PIECE_CHARACTERS, ImageMode
from reflex_frontend.observing.recording.writer import encode_json
from support.fakes import chunk
from support.images import as_base64, encoded, photo
from support.recordings import act_entry

JPEG, PNG = (as_base64(encoded(photo(height=24, width=32), kind)) for kind in ("JPEG", "PNG"))
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def written(mode: ImageMode = "none", **changes: Any) -> dict[str, Any]:
    line = to_line(request_record(7, 1_800_000_000.5, act_entry(**changes), mode), encode_json)
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_record_reads_back_as_it_was_to_the_last_bit() -> None:
    raw = np.random.default_rng(1).standard_normal((4, 7)).astype(np.float32)
    guarded = np.clip(raw, -0.5, 0.5)
    violations = (Violation(0, 1, "shoulder", 0.7, 0.5, "above_range"),)
    rtc = RtcRecord(raw[:2], (1.0, 0.5), 5.0)
    entry = act_entry(actions_raw=raw, actions=guarded, violations=violations, rtc=rtc, seed_from_client=True)

    record = parse_line(to_line(request_record(7, 5.25, entry, "none"), encode_json).rstrip(b"\n"))

    assert isinstance(record, RequestRecord)
    assert record.actions_raw is not None
    assert record.actions is not None
    assert record.rtc is not None
    for read, meant in ((record.actions_raw, raw), (record.actions, guarded), (record.rtc.prev_chunk, raw[:2])):
        np.testing.assert_array_equal(read, meant)
    assert (record.record_seq, record.at, record.seed, record.seed_from_client) == (7, 5.25, 1, True)
    assert record.guard_clamped
    assert record.violations[0].name == "shoulder"
    assert record.timing is not None
    assert record.timing.infer_ms == 11.0


def test_an_array_in_any_layout_is_written() -> None:
    wide = np.asfortranarray(np.arange(28, dtype=np.float32).reshape(4, 7))
    assert written(actions_raw=wide[:, ::-1])["actions_raw"][0] == [6, 5, 4, 3, 2, 1, 0]


def test_an_error_has_its_code_and_no_actions() -> None:
    fields = written(status=504, error="deadline_exceeded", actions_raw=None, timing=None)
    assert (fields["status"], fields["error"], fields["actions_raw"]) == (504, "deadline_exceeded", None)


@pytest.mark.parametrize(("text", "encoding"), [(JPEG, "jpeg"), (PNG, "png")])
@pytest.mark.parametrize("dressed", ["{}", "data:image/x;base64,{}", "wrapped"])
def test_an_encoded_image_is_known_by_the_digest_of_its_bytes(text: str, encoding: str, dressed: str) -> None:
    sent = base64.encodebytes(base64.b64decode(text)).decode() if dressed == "wrapped" else dressed.format(text)
    expected = {
        "sha256": hashlib.sha256(base64.b64decode(text)).hexdigest(),
        "width": 32, "height": 24, "encoding": encoding, "data": None,
    }  # fmt: skip
    assert written("hash", images={"base": sent})["images"] == {"base": expected}
    assert written("full", images={"base": sent})["images"] == {"base": expected | {"data": text}}


@pytest.mark.parametrize("text", [JPEG, PNG, base64.b64encode(b"GIF89a").decode()])
@pytest.mark.parametrize("mode", ["hash", "full"])
def test_the_bytes_of_a_file_are_recorded_as_its_base64_is(text: str, mode: ImageMode) -> None:
    sent: dict[str, Any] = {"text": text, "bytes": base64.b64decode(text)}
    images = written(mode, images=recordable_images(sent))["images"]
    assert images["bytes"] == images["text"]


def test_pixels_are_recorded_as_raw_bytes() -> None:
    image = written("full", images={"base": PIXELS})["images"]["base"]
    assert base64.b64decode(image["data"]) == PIXELS.tobytes()
    assert image["sha256"] == hashlib.sha256(PIXELS.tobytes()).hexdigest()
    assert (image["width"], image["height"], image["encoding"]) == (3, 2, "raw")


def test_an_image_of_many_pieces_is_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    assert noise.nbytes > 3 * PIECE_CHARACTERS
    text = base64.b64encode(noise.tobytes()).decode()
    image = written("full", images={"array": noise, "text": text})["images"]
    assert image["array"]["data"] == image["text"]["data"] == text
    assert image["array"]["sha256"] == image["text"]["sha256"] == hashlib.sha256(noise.tobytes()).hexdigest()


def test_the_size_of_a_long_image_is_that_of_its_beginning() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    image = written("hash", images={"base": as_base64(encoded(noise, "PNG"))})["images"]["base"]
    assert (image["width"], image["height"], image["encoding"]) == (400, 300, "png")


@pytest.mark.parametrize("text", ["not base64!", "AAA", "data:image/png;base64", "\ud800", "é" * 10])
def test_what_is_no_base64_is_left_out(text: str) -> None:
    assert set(written("full", images={"broken": text, "base": PIXELS})["images"]) <= {"base", "broken"}
    assert "base" in written("full", images={"broken": text, "base": PIXELS})["images"]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff" + bytes(90), b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_broken_image_has_a_digest_and_no_size(data: bytes) -> None:
    image = written("hash", images={"base": base64.b64encode(data).decode()})["images"]["base"]
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert image["width"] is None


def test_without_images_none_are_written() -> None:
    assert written("none", images={"base": PIXELS})["images"] == {}


def test_an_array_is_recorded_by_its_pixels_and_left_out_before_it_was_decoded() -> None:
    sources: dict[str, str | list[Any]] = {"text": "AAAA", "array": [[[1, 2, 3]]], "early": [[[1, 2, 3]]]}
    images = recordable_images(sources, {"array": PIXELS, "text": PIXELS})
    assert images == {"text": "AAAA", "array": PIXELS}


def test_the_size_of_an_entry_counts_its_images_and_chunks() -> None:
    small = entry_size_bytes(act_entry(actions_raw=None))
    large = entry_size_bytes(act_entry(actions_raw=chunk(), images={"a": "x" * 1000, "b": PIXELS}))
    assert large - small == chunk().nbytes + 1000 + PIXELS.nbytes
