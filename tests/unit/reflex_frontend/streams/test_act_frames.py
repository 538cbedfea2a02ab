"""Frames of a client: untrusted bytes become a frame or an error of the contract, and nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.errors import InvalidRequestError, service_error
from reflex.wire import MAX_ID_CHARACTERS, MAX_INSTRUCTION_CHARACTERS, MAX_NUMBERS
from reflex_frontend.observation.packed import parse_unpacked
from reflex_frontend.observation.request import deadline_ms_of
from reflex_frontend.streams.act_frames import (
    Defaults,
    Frame,
    chunk_frame,
    error_frame,
    read_frame,
    seq_of,
    write_frame,
)

OBSERVATION: dict[str, Any] = {"type": "observation", "seq": 1, "state": [0.0], "instruction": "pick"}
PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def array(pixels: np.ndarray[Any, Any], **changes: Any) -> dict[str, Any]:
    made = {"__ndarray__": True, "dtype": pixels.dtype.str, "shape": list(pixels.shape), "data": pixels.tobytes()}
    return made | changes


def observation(**fields: Any) -> Frame:
    return Frame("observation", is_text=False, fields={**OBSERVATION, **fields})


def test_msgpack_and_json_are_read_alike_and_answered_in_their_kind() -> None:
    binary, text = read_frame(msgpack.packb(OBSERVATION)), read_frame(orjson.dumps(OBSERVATION).decode())

    assert binary.fields == text.fields == OBSERVATION
    assert (binary.is_text, text.is_text) == (False, True)


def test_images_are_files_or_raw_pixels() -> None:
    frame = read_frame(msgpack.packb({**OBSERVATION, "images": {"base": array(PIXELS), "wrist": b"\xff\xd8\xff"}}))
    request = parse_unpacked(frame.fields)

    assert request.images is not None
    assert np.array_equal(request.images["base"], PIXELS)
    assert request.images["wrist"] == b"\xff\xd8\xff"


def test_a_state_may_be_an_array() -> None:
    frame = read_frame(msgpack.packb({**OBSERVATION, "state": array(np.array([0.5, 1.5], np.float32))}))
    assert parse_unpacked(frame.fields).state == (0.5, 1.5)


@pytest.mark.parametrize(
    "changes",
    [{"dtype": "|O"}, {"dtype": "object"}, {"dtype": "<U4"}, {"dtype": ["u1"]}, {"shape": [8, 6, 4]}, {"shape": "x"},
     {"shape": [-1, -1, 3]}, {"data": "text"}, {"data": None}, {"shape": [2**62, 8]}],
)  # fmt: skip
def test_what_is_no_array_of_pixels_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        read_frame(msgpack.packb({**OBSERVATION, "image": array(PIXELS, **changes)}))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x81", "", "{", "null", "[]", '{"type": 7}', "NaN", msgpack.packb([1]),
     msgpack.packb({"type": b"x"}),
     msgpack.packb({"seq": 1}), msgpack.packb(OBSERVATION) + b"\x00", msgpack.packb({1: 2}), b"\x91" * 5000,
     msgpack.packb({"type": "hello", "x": msgpack.ExtType(5, b"x")}),
     msgpack.packb({"type": "a", "x": [0] * 1_000_001}),
     msgpack.packb({"type": "a", "x": [[0] * 600_000] * 2}), msgpack.packb({str(number): 0 for number in range(3000)}),
     b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"],
)  # fmt: skip
def test_what_is_no_frame_is_refused(data: bytes | str) -> None:
    with pytest.raises(InvalidRequestError):
        read_frame(data)


def test_text_with_more_numbers_than_may_be_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_frame('{"type": "hello", "x": [' + "0," * (MAX_NUMBERS + 1))  # which a parser would call no JSON
    assert caught.value.code == "image_too_large"
    assert read_frame('{"type": "hello", "x": [' + "0," * (MAX_NUMBERS - 1) + "0]}").kind == "hello"


@given(st.binary(max_size=64) | st.text(max_size=64) | VALUES.map(msgpack.packb))
def test_no_bytes_do_harm(data: bytes | str) -> None:
    with contextlib.suppress(InvalidRequestError):
        assert isinstance(read_frame(data).kind, str)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from([*OBSERVATION, "images", "image", "image_b64", "episode_id", "seed"]), VALUES))
def test_no_fields_do_harm(fields: dict[str, Any]) -> None:
    packed = msgpack.packb({**fields, "type": "observation"})
    with contextlib.suppress(InvalidRequestError):
        parse_unpacked(read_frame(packed).fields)


@pytest.mark.parametrize("seq", [None, -1, 0, 1, 1.5, True, "2", 2**63])
def test_a_number_must_grow(seq: Any) -> None:
    with pytest.raises(InvalidRequestError, match="seq"):
        seq_of(observation(seq=seq), after=1)
    assert seq_of(observation(seq=2), after=1) == 2


@pytest.mark.parametrize("deadline_ms", [0, 0.5, 10_001, "100", True, float("nan"), [1]])
def test_a_deadline_is_a_number_of_milliseconds(deadline_ms: Any) -> None:
    with pytest.raises(InvalidRequestError, match="deadline_ms"):
        deadline_ms_of({"deadline_ms": deadline_ms}, 1000.0)


def test_what_a_hello_says_holds_where_an_observation_is_silent() -> None:
    hello = Frame(
        "hello", is_text=False, fields={"episode_id": "e", "instruction": "pick", "deadline_ms": 50, "seq": 9}
    )
    defaults = Defaults.of(hello)

    assert defaults.under(observation(instruction=None, episode_id="mine")) == {
        "type": "observation", "seq": 1, "state": [0.0], "instruction": "pick", "episode_id": "mine",
    }  # fmt: skip
    assert defaults.deadline_ms == 50.0
    assert Defaults().deadline_ms == 1000.0


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"episode_id": 7}, "wrong_type"),
        ({"episode_id": ""}, "wrong_type"),
        ({"episode_id": "e" * (MAX_ID_CHARACTERS + 1)}, "wrong_type"),
        ({"episode_id": "a\nb"}, "wrong_type"),
        ({"episode_id": array(PIXELS)}, "wrong_type"),
        ({"instruction": 7}, "wrong_type"),
        ({"instruction": ["pick"]}, "wrong_type"),
        ({"instruction": array(PIXELS)}, "wrong_type"),
        ({"instruction": "x" * (MAX_INSTRUCTION_CHARACTERS + 1)}, "instruction_too_long"),
    ],
)
def test_a_hello_has_the_rules_of_an_observation(said: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Defaults.of(read_frame(msgpack.packb({"type": "hello", **said})))
    assert caught.value.code == code


def test_what_is_just_within_the_rules_of_a_hello_is_kept_and_nothing_else() -> None:
    said = {"episode_id": "e" * MAX_ID_CHARACTERS, "instruction": "x" * MAX_INSTRUCTION_CHARACTERS}
    assert Defaults.of(read_frame(msgpack.packb({"type": "hello", "more": "kept by nobody", **said}))).fields == said
    assert Defaults.of(Frame("hello", is_text=True, fields={"instruction": "", "episode_id": None})).fields == {
        "instruction": ""
    }


def test_an_error_is_the_envelope_with_its_status_and_the_number() -> None:
    error = service_error("queue_full", "wait", retry_after_s=0.5, context={"seq": "mine", "type": "mine"})
    frame = msgpack.unpackb(write_frame(error_frame(error, 7), is_text=False))

    told = {"type": "error", "error": "queue_full", "message": "wait", "retry_after_s": 0.5, "status": 503, "seq": 7}
    assert {name: value for name, value in frame.items() if name != "request_id"} == told
    assert frame["request_id"]


def test_a_chunk_is_raw_in_msgpack_and_lists_in_json() -> None:
    result: Any = {"actions": np.ones((2, 3), np.float32), "num_actions": 2}
    frame = chunk_frame(4, result, {"policy_slot": "b"})
    raw = msgpack.unpackb(write_frame(frame, is_text=False))

    assert raw["actions"] == {"__ndarray__": True, "dtype": "<f4", "shape": [2, 3], "data": b"\x00\x00\x80\x3f" * 6}
    assert (raw["seq"], raw["policy_slot"]) == (4, "b")
    assert orjson.loads(write_frame(frame, is_text=True))["actions"] == [[1.0] * 3] * 2
