"""Frames as bytes: what a client sends, and what it trusts."""

from __future__ import annotations

import io
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reflex.client.streaming.frames import encode_hello, encode_observation, observed, read_frame
from reflex.errors import InvalidRequestError, TransportError
from support.streams.scripted import chunk_frame

STATE = [0.0] * 6
PIXELS = np.full((8, 8, 3), 128, np.uint8)


def test_pixels_travel_as_jpeg_without_base64() -> None:
    fields = observed(STATE, {"base": PIXELS, "wrist": Image.fromarray(PIXELS)}, None)
    frame = msgpack.unpackb(encode_observation(3, fields))

    assert (frame["type"], frame["seq"], frame["state"]) == ("observation", 3, STATE)
    for image in frame["images"].values():
        assert Image.open(io.BytesIO(image)).size == (8, 8)


def test_one_image_is_that_of_the_first_camera_and_bytes_are_sent_as_they_are() -> None:
    jpeg = observed(STATE, PIXELS, None)["image"]

    assert observed(STATE, jpeg, None)["image"] is jpeg
    assert observed(STATE, jpeg, {"mine": "wrist"})["image"] is jpeg


def test_the_cameras_of_a_stream_are_all_there_by_the_policys_names() -> None:
    assert set(observed(STATE, {"mine": PIXELS}, {"mine": "wrist"})["images"]) == {"wrist"}
    for images in ({"base": PIXELS}, PIXELS, None):
        with pytest.raises(InvalidRequestError, match="cameras"):
            observed(STATE, images, {"base": "base", "wrist": "wrist"})


def test_a_state_with_a_nan_is_never_sent() -> None:
    with pytest.raises(InvalidRequestError, match=r"state\[1\]"):
        observed([0.0, float("nan")], None, None)


def test_an_observation_longer_than_a_server_reads_is_refused_here() -> None:
    images = {f"camera-{number}": b"\xff\xd8\xff" + bytes(3_000_000) for number in range(3)}
    with pytest.raises(InvalidRequestError, match="8 MiB"):
        encode_observation(1, observed(STATE, images, None))


def test_the_hello_is_a_frame_of_its_own() -> None:
    assert msgpack.unpackb(encode_hello({"type": "hello", "episode_id": "e"})) == {"type": "hello", "episode_id": "e"}


def test_a_chunk_is_read_as_a_writable_float32_array() -> None:
    actions = read_frame(msgpack.packb(chunk_frame(1, 0.5)))["actions"]

    assert (actions.dtype, actions.shape) == (np.float32, (4, 7))
    assert (actions == 0.5).all()
    actions[0, 0] = 1.0


def test_nested_lists_are_actions_too() -> None:
    frame = {"type": "chunk", "seq": 1, "actions": [[1.0, 2.0]], "num_actions": 1, "action_dim": 2}
    assert read_frame(msgpack.packb(frame))["actions"].tolist() == [[1.0, 2.0]]


ARRAY = chunk_frame(1)["actions"]


@pytest.mark.parametrize(
    "actions",
    [
        None, 7, "text", [], [[]], [[1.0], [1.0, 2.0]], [["a"] * 7] * 4, [[float("nan")] * 7] * 4, [[1e300] * 7] * 4,
        {**ARRAY, "dtype": "object"}, {**ARRAY, "dtype": "O"}, {**ARRAY, "shape": [7, 5]}, {**ARRAY, "shape": "x"},
        {**ARRAY, "data": b"abc"}, {"__ndarray__": True}, {**ARRAY, "shape": [28]}, {**ARRAY, "shape": [7, 4]},
        {**ARRAY, "shape": [2**40, 2**40]},
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_what_is_no_finite_chunk_is_never_delivered(actions: Any) -> None:
    with pytest.raises(TransportError, match="dropped"):
        read_frame(msgpack.packb({**chunk_frame(1), "actions": actions}))


@given(st.binary(max_size=200) | st.text(max_size=20))
def test_garbage_is_a_broken_transport_and_nothing_else(data: bytes | str) -> None:
    try:
        frame = read_frame(data)
    except TransportError:
        return
    assert isinstance(frame["type"], str)
