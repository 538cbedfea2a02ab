from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from reflex_export.graph.float16 import HalfConverter


def test_every_float16_comes_back_as_it_was() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]

    np.testing.assert_array_equal(
        HalfConverter().convert(finite.astype(np.float32)).view(np.uint16), finite.view(np.uint16)
    )


def test_rounding_is_numpys_from_the_least_to_the_greatest_number() -> None:
    bits = np.random.RandomState(0).randint(0, 1 << 31, 1 << 20).astype(np.uint32)
    wide = np.concatenate([bits.view(np.float32), -bits.view(np.float32), _ties()])
    wide = wide[np.isfinite(wide) & (np.abs(wide) < 65520)]

    with np.errstate(under="ignore"):
        expected = wide.astype(np.float16)
    np.testing.assert_array_equal(HalfConverter().convert(wide).view(np.uint16), expected.view(np.uint16))


def _ties() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Exactly between two neighbours, subnormal ones too, where ties go to the even one."""
    lower = np.arange(0, 0x7BFF, dtype=np.uint16).view(np.float16).astype(np.float32)
    upper = np.arange(1, 0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    return (lower + upper) / np.float32(2)


def test_every_bfloat16_in_range_is_converted_as_numpy_does() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float32)
    wide = every[np.isfinite(every) & (np.abs(every) < 65520)]

    with np.errstate(under="ignore"):
        expected = wide.astype(np.float16)
    np.testing.assert_array_equal(HalfConverter().convert(wide).view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("value", [65520.0, -65520.0, 1e38])
def test_a_number_beyond_the_range_is_refused_not_made_infinite(value: float) -> None:
    with pytest.raises(OverflowError):
        HalfConverter().convert(np.array([1.0, value], np.float32))


def test_a_number_that_rounds_to_the_greatest_one_is_in_range() -> None:
    assert HalfConverter().convert(np.array([65519.0], np.float32))[0] == 65504


def test_what_was_not_finite_stays_so() -> None:
    found = HalfConverter().convert(np.array([np.inf, -np.inf, np.nan], np.float32))

    np.testing.assert_array_equal(found, np.array([np.inf, -np.inf, np.nan], np.float16))


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_an_infinity_hides_no_number_beyond_the_range(infinite: float) -> None:
    with pytest.raises(OverflowError):
        HalfConverter().convert(np.array([infinite, 1.0, -70_000.0], np.float32))


def test_an_unaligned_view_of_any_shape_is_converted() -> None:
    stored = np.zeros(4 * 6 + 1, np.uint8)
    view = stored[1:].view(np.float32).reshape(2, 3)

    assert HalfConverter().convert(view).shape == (2, 3)
    assert HalfConverter().convert(np.zeros((0, 3), np.float32)).shape == (0, 3)
