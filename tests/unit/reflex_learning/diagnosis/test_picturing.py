"""What undoes a fault of pictures: twice, or after its opposite, the picture is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from reflex_learning.diagnosis import picturing

PIXELS = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)


@pytest.mark.parametrize(
    "change", [picturing.reversed_colours, picturing.mirrored, picturing.upside_down, picturing.turned]
)
def test_done_twice_nothing_has_changed(change: picturing.Changed) -> None:
    assert not np.array_equal(change(PIXELS), PIXELS)
    assert np.array_equal(change(change(PIXELS)), PIXELS)


def test_a_quarter_turn_and_one_back() -> None:
    assert np.array_equal(picturing.quarter_turned(-1)(picturing.quarter_turned(1)(PIXELS)), PIXELS)


def test_what_is_cropped_and_padded_keeps_its_size_and_its_middle() -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[16:32, 20:44] = 255

    for change in (picturing.cropped(0.8), picturing.padded(0.8)):
        assert change(pixels).shape == pixels.shape
        assert (change(pixels)[24, 32] == 255).all()
    assert picturing.cropped(0.8)(pixels).mean() > pixels.mean() > picturing.padded(0.8)(pixels).mean()


def test_brightness_ends_at_white() -> None:
    assert picturing.brighter(3.0)(np.full((1, 1, 3), 200, np.uint8)).max() == 255
    assert picturing.darker(2.2)(np.full((1, 1, 3), 128, np.uint8)).max() < 64


@pytest.mark.parametrize(
    ("change", "side"), [(picturing.as_square, 48), (picturing.square_middle, 48), (picturing.letterboxed, 64)]
)
def test_squares_are_square(change: picturing.Changed, side: int) -> None:
    assert change(PIXELS).shape == (side, side, 3)
