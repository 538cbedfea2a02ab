from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lerobot_policy_reflex.observing import Sending, chunk_of, left_over_rows, observed
from reflex.client import chunk
from reflex.errors import SetupError, UnauthorizedError

PNG = Sending(image_encoding="png")
PIXELS = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), np.uint8)
"""[rows, height, width, RGB]"""


def as_lerobot_has_it(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """uint8 by 255, channels first: what LeRobot makes of every image before a policy sees it."""
    return np.ascontiguousarray((pixels.astype(np.float32) / np.float32(255)).transpose(0, 3, 1, 2))


def batch(**more: Any) -> dict[str, Any]:
    state = np.array([[0.5, 1.5], [2.5, 3.5]], np.float32)
    return {"observation.state": state, "observation.images.top": as_lerobot_has_it(PIXELS), **more}


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("row", [0, 1])
def test_a_row_becomes_a_request_and_its_pixels_come_back_to_the_bit(row: int) -> None:
    sent = observed(batch(task=["cup", "plate"]), row, PNG)

    assert sent["state"].tolist() == [[0.5, 1.5], [2.5, 3.5]][row]
    assert sent["instruction"] == ["cup", "plate"][row]
    assert list(sent["images"]) == ["top"]
    assert np.array_equal(np.asarray(opened(sent["images"]["top"])), PIXELS[row])


def test_every_value_that_a_pixel_can_have_comes_back_from_a_division_by_255() -> None:
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)

    sent = observed({"observation.state": [[0.0]], "observation.images.a": as_lerobot_has_it(values)}, 0, PNG)

    assert np.array_equal(np.asarray(opened(sent["images"]["a"])), values[0])


def test_a_value_between_two_pixels_goes_to_the_nearer() -> None:
    row = np.array([0.499 / 255, 0.501 / 255, 254.6 / 255])
    between = np.broadcast_to(row, (1, 3, 1, 3))

    sent = observed({"observation.state": [[0.0]], "observation.images.a": between}, 0, PNG)

    assert np.asarray(opened(sent["images"]["a"]))[0, :, 0].tolist() == [0, 1, 255]


def test_pixels_that_are_not_divided_yet_are_sent_as_they_are() -> None:
    sent = observed(batch(**{"observation.images.top": PIXELS.transpose(0, 3, 1, 2)}), 1, PNG)

    assert np.array_equal(np.asarray(opened(sent["images"]["top"])), PIXELS[1])


def test_a_jpeg_is_of_the_quality_that_was_asked_for() -> None:
    low, high = (observed(batch(), 0, Sending(jpeg_quality=quality))["images"]["top"] for quality in (10, 95))

    assert opened(low).format == opened(high).format == "JPEG"
    assert opened(high).size == (7, 5)
    assert len(low) < len(high)


def test_cameras_are_renamed_and_others_stay_at_home() -> None:
    seen = batch(**{"observation.image": as_lerobot_has_it(PIXELS)})

    sent = observed(seen, 0, Sending({"observation.image": "base"}, image_encoding="png"))

    assert list(sent["images"]) == ["base"]


def test_a_robot_without_cameras_sends_none() -> None:
    assert observed({"observation.state": [[0.0]]}, 0, PNG)["images"] is None


@pytest.mark.parametrize(
    ("task", "instruction"),
    [("cup", "cup"), (["cup"], "cup"), (("cup",), "cup"), ("", "wait"), ([""], "wait"), ([], "wait"), (None, "wait")],
)
def test_the_instruction_is_the_batch_s_own_or_the_one_that_is_set(task: object, instruction: str) -> None:
    assert observed(batch(task=task), 0, Sending(instruction="wait"))["instruction"] == instruction


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 1, 5, 7)), "observation.images.top is 1 x 5 x 7; an image is 3 x height x width"),
        (np.zeros((2, 5, 7)), "observation.images.top is 5 x 7; "),
        (np.full((2, 3, 5, 7), np.nan), "observation.images.top holds values that are not finite"),
        (np.full((2, 3, 5, 7), 1.01), "observation.images.top leaves the range from 0 to 1"),
        (np.full((2, 3, 5, 7), -0.01), "observation.images.top leaves the range from 0 to 1"),
    ],
)
def test_what_is_no_image_is_refused_by_its_key(image: Any, message: str) -> None:
    with pytest.raises(SetupError, match=f"^{message}"):
        observed(batch(**{"observation.images.top": image}), 0, PNG)


def test_a_batch_without_a_state_says_how_to_give_one() -> None:
    with pytest.raises(SetupError, match=r"no observation\.state; .*--rename_map"):
        observed({}, 0, PNG)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"image_encoding": "webp"}, "'webp'"), ({"jpeg_quality": 0}, "0"), ({"jpeg_quality": 101}, "101")],
)
def test_a_way_of_sending_that_is_none_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SetupError, match=f"^{next(iter(given))} is {message}; "):
        Sending(**given)


def test_what_lerobot_filled_a_left_over_up_with_is_left_out() -> None:
    padded = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])

    assert left_over_rows(padded, 0) == [[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]]
    assert left_over_rows(np.zeros((4, 2)), 0) == []
    assert left_over_rows(np.zeros((0, 2)), 0) == []
    assert left_over_rows(None, 0) == []


def test_a_batch_has_a_left_over_for_each_row() -> None:
    both = np.array([[[1.0]], [[2.0]]])

    assert [left_over_rows(both, row) for row in (0, 1)] == [[[1.0]], [[2.0]]]
    assert [left_over_rows(both[0], row) for row in (0, 1)] == [[[1.0]], [[1.0]]]


def test_an_answer_becomes_a_chunk() -> None:
    got = chunk_of(chunk([[0.5, 1.0], [1.5, 2.0]]), 2)

    assert got.dtype == np.float32
    assert got.tolist() == [[0.5, 1.0], [1.5, 2.0]]


def test_nothing_is_moved_by_a_dry_run() -> None:
    with pytest.raises(UnauthorizedError, match="dry run") as caught:
        chunk_of(chunk([[0.5, 1.0]], mode="dry_run"), 2)

    assert caught.value.code == "session_mode"
    assert chunk_of(chunk([[0.5, 1.0]], mode="apply_actions"), 2).shape == (1, 2)


def test_a_chunk_of_other_axes_is_refused() -> None:
    with pytest.raises(SetupError, match="2 axes, and this folder was written for 6"):
        chunk_of(chunk([[0.5, 1.0]]), 6)
