"""The soak run in short; `make soak` is the real one."""

from __future__ import annotations

import pytest

from reflex_bench.soak import soak

pytestmark = pytest.mark.slow


def test_memory_descriptors_and_threads_stay_flat_and_every_answer_is_right() -> None:
    result = soak(requests=3_000, baseline=1_000)
    assert not result.missed()
    assert set(result.answers) == {200, 400, 404, 422}
