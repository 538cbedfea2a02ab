from __future__ import annotations

import contextlib
import dataclasses
import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.traces.schema import (
    DroppedRecord,
    ImageRecord,
    RecordLine,
    RequestRecord,
    RtcRecord,
    ShadowRecord,
    TraceHeader,
    TraceVersionError,
    ViolationRecord,
    parse_line,
    to_line,
)
from support.traces import header, request, smooth_chunk

WHOLE = request(
    7,
    images={"image": ImageRecord("ab" * 32, 224, 224, "jpeg", "AAAA")},
    actions=smooth_chunk(start=1.0),
    guard_clamped=True,
    violations=(ViolationRecord(1, 2, "z", 2.0, 1.0, "above_range"),),
    rtc=RtcRecord(smooth_chunk(), (1.0, 0.5), 5.0),
)


def by_orjson(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


@pytest.mark.parametrize(
    "record",
    [
        header(),
        WHOLE,
        request(8, status=503, error="queue_full", actions_raw=None, seed=None, timing=None, episode_id=None),
        ShadowRecord(record_seq=7, policy="new@1", cosine=0.5, max_abs=(0.1,) * 7, latency_ms=9.0, violations=2),
        ShadowRecord(record_seq=7, policy="new@1", error="busy"),
        DroppedRecord(3, 1.5),
    ],
)
def test_a_line_reads_back_as_it_was_written_with_either_encoder(record: RecordLine) -> None:
    line = to_line(record)
    again = parse_line(line)

    assert type(again) is type(record)
    assert json.loads(to_line(record, by_orjson)) == json.loads(line)
    assert again is not None
    assert to_line(again) == line
    assert line.count(b"\n") == 1


@pytest.mark.slow
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_float32_comes_back_bit_for_bit(value: float) -> None:
    chunk = np.full((2, 7), value, np.float32)
    for line in (to_line(request(actions_raw=chunk)), to_line(request(actions_raw=chunk), by_orjson)):
        again = parse_line(line)
        assert isinstance(again, RequestRecord)
        assert again.actions_raw is not None
        assert again.actions_raw.tobytes() == chunk.tobytes()


def test_keys_and_kinds_of_a_newer_reflex_are_ignored() -> None:
    newer = json.loads(to_line(request())) | {"mood": "good"}

    assert isinstance(parse_line(json.dumps(newer).encode()), RequestRecord)
    assert parse_line(b'{"kind":"weather","wind":3}') is None


def test_another_schema_version_is_refused_by_name() -> None:
    other = json.dumps({**json.loads(to_line(header())), "schema_version": 2}).encode()

    with pytest.raises(TraceVersionError, match="schema version 2, this Reflex reads version 1"):
        parse_line(other)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"kind":7}', b'{"kind":"request"}', b'{"kind":"header"}',
        to_line(request())[:-30],
        to_line(request()).replace(b'"status":200', b'"status":"200"'),
        to_line(request()).replace(b'"latency_ms":10.0', b'"latency_ms":NaN'),
        to_line(request()).replace(b'"record_seq":1', b'"record_seq":0'),
        to_line(request()).replace(b'"actions_raw":[[', b'"actions_raw":[[1e99,'),
        to_line(request()).replace(b'"slot":"a"', b'"slot":"c"'),
    ],
)  # fmt: skip
def test_a_damaged_line_is_a_value_error_and_nothing_else(line: bytes) -> None:
    with pytest.raises(ValueError, match="no line of a recording"):
        parse_line(line)


@pytest.mark.slow
@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner)).map(
    lambda value: json.dumps({"kind": "request", "actions_raw": value}).encode()
))  # fmt: skip
def test_no_bytes_break_the_parser(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_line(line)


def test_the_answered_chunk_is_the_raw_one_unless_the_guard_changed_it() -> None:
    clean = request()

    assert clean.answered is clean.actions_raw
    assert WHOLE.answered is WHOLE.actions


def test_the_header_says_its_version() -> None:
    line = json.loads(to_line(header()))

    assert line["kind"] == "header"
    assert line["schema_version"] == 1
    assert isinstance(parse_line(to_line(header())), TraceHeader)


@pytest.mark.parametrize(
    "field",
    [{"at": 1e300}, {"at": -1.0}, {"at": 253_402_300_800.0}, {"latency_ms": -1.0}, {"latency_ms": 1e300}],
    ids=str,
)
def test_a_time_that_no_calendar_or_clock_has_is_damage(field: dict[str, float]) -> None:
    line = json.dumps(json.loads(to_line(request())) | field).encode()
    with pytest.raises(ValueError, match="no line of a recording"):
        parse_line(line)


def test_names_in_a_recording_that_would_move_a_terminal_are_read_as_their_escapes() -> None:
    evil, shown = "\x1b]0;x\x07", "\\x1b]0;x\\x07"
    read = parse_line(to_line(request(policy=evil, error=evil)))
    assert isinstance(read, RequestRecord)
    assert (read.policy, read.error) == (shown, shown)
    plain = parse_line(to_line(header()))
    assert isinstance(plain, TraceHeader)
    for part in plain.policies["a"].__dataclass_fields__:
        if isinstance(getattr(plain.policies["a"], part), str):
            policy = dataclasses.replace(plain.policies["a"], **{part: evil})  # type: ignore[arg-type]
            again = parse_line(to_line(dataclasses.replace(plain, policies={"a": policy})))
            assert isinstance(again, TraceHeader)
            assert getattr(again.policies["a"], part) == shown, part
