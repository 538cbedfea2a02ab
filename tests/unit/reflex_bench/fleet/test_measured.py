"""The measured times, and what lies between them."""

from __future__ import annotations

import pytest

from reflex_bench.fleet.measured import MEASURED


def test_between_what_was_measured_the_denoise_is_a_line_and_beyond_it_nothing_is_known() -> None:
    times = MEASURED["pi0"]
    assert [times.denoising_ms(size) for size in (1, 4, 8)] == [28.2, 37.9, 47.4]
    assert times.denoising_ms(6) == pytest.approx((37.9 + 47.4) / 2)
    with pytest.raises(ValueError, match="a batch of 9 was not measured: 1 to 8 were"):
        times.denoising_ms(9)


def test_the_encoder_gains_nothing_by_a_batch_and_the_denoise_does() -> None:
    times = MEASURED["smolvla"]
    assert times.whole_ms(1) == pytest.approx(28.1)
    assert times.whole_ms(4) == pytest.approx(4 * 8.9 + 22.4)
    assert times.most_per_s(8) > 2 * times.most_per_s(1)
