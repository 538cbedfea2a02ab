"""What graphs are fed with when only their time counts."""

from __future__ import annotations

import numpy as np
import pytest

from reflex_bench.gpu_check.timed_graphs import DRAWN, made_up


def test_numbers_are_of_order_one_and_a_gigabyte_of_them_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    class Random:
        def standard_normal(self, size: int, _dtype: object) -> object:
            drawn.append(size)
            return np.random.Generator(np.random.PCG64(0)).standard_normal(size, np.float32)

    monkeypatch.setattr(np.random, "default_rng", lambda _seed: Random())

    many, few = made_up((3, DRAWN), np.float16), made_up((2, 3), np.float32)

    assert drawn == [DRAWN, 6]
    assert (many.shape, many.dtype) == ((3, DRAWN), np.float16)
    assert (few.shape, few.dtype) == ((2, 3), np.float32)
    assert 0.9 < float(many.astype(np.float32).std()) < 1.1
    assert np.count_nonzero(few) == 6


def test_tokens_are_the_first_and_masks_are_true() -> None:
    assert made_up((1, 2), np.int64).tolist() == [[0, 0]]
    assert made_up((1, 2), np.bool_).tolist() == [[True, True]]
