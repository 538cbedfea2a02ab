from __future__ import annotations

import numpy as np
import pytest

from reflex_export.blocks.flow import euler_times, sinusoidal_embedding


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10])
def test_times_go_from_one_to_one_step_before_zero(steps: int) -> None:
    times = euler_times(steps)

    assert times[0] == 1.0
    np.testing.assert_allclose(np.diff(times), -1 / steps, atol=1e-6)
    assert times[-1] == pytest.approx(1 / steps)


def test_embedding_is_sines_then_cosines_from_the_shortest_to_the_longest_period() -> None:
    embedding = sinusoidal_embedding(np.array([1.0], np.float32), 4, min_period=0.4, max_period=4.0)

    short, long = 2 * np.pi / 0.4, 2 * np.pi / 4.0
    np.testing.assert_allclose(embedding, [[np.sin(short), np.sin(long), np.cos(short), np.cos(long)]], atol=1e-6)
