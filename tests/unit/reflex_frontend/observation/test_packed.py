"""The body of `/act` in msgpack: as in JSON, but that images are bytes or pixels."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpi_client import msgpack_numpy

from reflex.errors import InvalidRequestError
from reflex.wire import MAX_NUMBERS
from reflex.wire.arrays import OPENPI_CLIENT
from reflex.wire.packing import pack
from reflex_frontend.observation.packed import parse_packed, unpacked
from reflex_frontend.observation.request import parse_act
from support.bodies import generated_body
from support.images import encoded, photo

BUSY = [HealthCheck.too_slow]
"""A machine may be."""
PIXELS = photo()
STATE = [0.25, 0.5, 0.0, 0.0, 0.0, 0.0]


def body(**changes: Any) -> bytes:
    fields = {"instruction": "pick", "state": STATE, **changes}
    packed: bytes = msgpack_numpy.packb({name: value for name, value in fields.items() if value is not None})
    return packed


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        parse_packed(data)
    assert caught.value.status == 400
    return caught.value.code


def test_arrays_are_taken_for_what_json_has_lists_of() -> None:
    request, dialect = parse_packed(body(state=np.asarray(STATE, np.float64), seed=np.int64(3), episode_id="e"))
    assert (request.state, request.seed, request.episode_id, dialect) == (tuple(STATE), 3, "e", OPENPI_CLIENT)


def test_images_are_bytes_or_pixels_or_base64_and_given_on_as_they_are() -> None:
    jpeg = encoded(PIXELS)
    request, _ = parse_packed(body(images={"base": PIXELS, "wrist": jpeg, "side": "abc", "none": b"", "nil": None}))
    assert request.images is not None
    assert np.array_equal(request.images["base"], PIXELS)
    assert (request.images["wrist"], request.images["side"], len(request.images)) == (jpeg, "abc", 3)
    assert parse_packed(body(image=jpeg))[0].image == jpeg


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": None}, "missing_field"),
        ({"instruction": b"pick"}, "wrong_type"),
        ({"instruction": PIXELS}, "wrong_type"),
        ({"state": PIXELS}, "wrong_type"),
        ({"state": np.float32("nan") * np.ones(6, np.float32)}, "not_finite"),
        ({"state": np.zeros(MAX_NUMBERS + 1, np.bool_)}, "wrong_type"),
        ({"state": np.ones(6, np.bool_)}, "wrong_type"),
        ({"image": 7}, "wrong_type"),
        ({"image": PIXELS, "image_b64": "abc"}, "wrong_type"),
        ({"images": PIXELS}, "wrong_type"),
        ({"images": {"base": 3}}, "wrong_type"),
        ({"episode_id": b"e"}, "wrong_type"),
        ({"request_id": PIXELS}, "wrong_type"),
        ({"seed": np.ones(1, np.float32)}, "wrong_type"),
        ({"seed": -1}, "wrong_type"),
    ],
)
def test_what_breaks_a_rule_is_refused_as_in_json(changes: dict[str, Any], code: str) -> None:
    assert refusal(body(**changes)) == code


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81\x01\x02", b'{"state": []}', b"\x91" * 100, body() + b"\xc0"])
def test_what_is_no_msgpack_says_so(data: bytes) -> None:
    assert refusal(data) == "invalid_msgpack"


@pytest.mark.parametrize("value", [None, 1, [], "text", b"", [{}]])
def test_what_is_no_map_says_so(value: Any) -> None:
    assert refusal(pack(value)) == "wrong_type"


def test_the_client_s_request_id_comes_back_with_its_refusal() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_packed(body(request_id="mine", seed=-1))
    assert caught.value.request_id == "mine"


@settings(max_examples=150, deadline=None, suppress_health_check=BUSY)
@given(st.integers(0, 10**9))
def test_what_json_can_say_is_answered_alike(seed: int) -> None:
    """The same fields, through both parsers: the same request or the same code."""
    data = generated_body(seed)
    try:
        fields = orjson.loads(data)
        packed = pack(fields)
    except ValueError:
        return
    assert outcome(parse_packed, packed) == outcome(parse_act, data) or len(packed) > 4_000


def outcome(parse: Any, data: bytes) -> Any:
    try:
        parsed = parse(data)
    except InvalidRequestError as exc:
        return exc.code
    request = parsed[0] if isinstance(parsed, tuple) else parsed
    return (request.instruction, request.state, request.image, request.images, request.seed, request.resendable)


@settings(max_examples=200, deadline=None, suppress_health_check=BUSY)
@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 3))
def test_flipped_bytes_give_a_request_or_a_400(flips: list[tuple[int, int]], cut: int) -> None:
    spoilt = bytearray(body(images={"base": PIXELS[:2, :2], "wrist": b"\xff\xd8\xff"}, request_id="r", seed=1))
    for place, value in flips:
        spoilt[place % len(spoilt)] = value
    with contextlib.suppress(InvalidRequestError):
        parse_packed(spoilt[: len(spoilt) - cut])


def test_fields_are_given_to_those_who_check_them_themselves() -> None:
    fields, dialect = unpacked(msgpack_numpy.packb({"observation/image": PIXELS, "n": 1}))
    assert np.array_equal(fields["observation/image"], PIXELS)
    assert (fields["n"], dialect) == (1, OPENPI_CLIENT)
