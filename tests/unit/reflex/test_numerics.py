from __future__ import annotations

import math

import numpy as np
import pytest

from reflex.numerics import cosine, max_abs


def test_the_largest_difference_is_found_on_either_side() -> None:
    assert max_abs(np.array([[1.0, 2.0]]), np.array([[1.5, 5.0]])) == 3.0
    assert max_abs(np.array([5.0]), np.array([2.0])) == 3.0


def test_small_integers_do_not_wrap_round() -> None:
    assert max_abs(np.array([0], np.uint8), np.array([255], np.uint8)) == 255.0


def test_halves_are_compared_without_overflow() -> None:
    large = np.array([60_000.0], np.float16)
    assert max_abs(large, -large) == 120_000.0 - 120_000.0 % 64
    assert cosine(large, large) == 1.0


def test_arrays_of_different_shapes_have_no_difference() -> None:
    with pytest.raises(ValueError, match="shapes"):
        max_abs(np.zeros((1, 2)), np.zeros(2))


def test_nothing_differs_from_nothing() -> None:
    assert max_abs(np.empty(0), np.empty(0)) == 0.0


def test_a_nan_is_no_small_difference() -> None:
    assert math.isnan(max_abs(np.array([np.nan, 1.0]), np.array([0.0, 1.0])))
    assert math.isnan(cosine(np.array([np.nan, 1.0]), np.array([0.0, 1.0])))
    assert math.isnan(cosine(np.array([np.nan, 1.0]), np.array([0.0, 0.0])))


def test_the_cosine_is_that_of_the_angle_whatever_the_shape_and_length() -> None:
    assert cosine(np.array([[1.0], [0.0]]), np.array([0.0, 2.0])) == 0.0
    assert cosine(np.array([1.0, 1.0]), np.array([3.0, 3.0])) == pytest.approx(1.0)
    assert cosine(np.array([1.0]), np.array([-7.0])) == -1.0


def test_zeros_are_like_zeros_only() -> None:
    assert cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert cosine(np.zeros(3), np.ones(3)) == 0.0
