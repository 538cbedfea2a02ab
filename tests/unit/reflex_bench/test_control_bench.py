"""The benchmark of the control plane asks what it says it does, and says when a target is missed."""

from __future__ import annotations

import pytest

from reflex_bench.control_bench import MAX_GROWTH_MB, P99_MS, Load, Result, measure

SMALL = Load(robots=20, sessions=5, listeners=2, every_s=0.5, seconds=1.0)


@pytest.mark.slow
def test_every_robot_beats_as_often_as_it_should_and_is_answered() -> None:
    result = measure(SMALL)

    assert result.answers == {200: 40}
    assert (len(result.took_ms), len(result.with_session_ms)) == (40, 10)
    assert min(result.took_ms) > 0
    assert min(result.rss_mb) > 1


def test_what_is_missed_is_said() -> None:
    good = Result(SMALL, took_ms=[1.0] * 100, rss_mb=[100.0, 100.0])
    good.answers[200] = 100
    assert good.missed() == []

    bad = Result(SMALL, took_ms=[P99_MS + 1] * 100, rss_mb=[100.0, 101.0 + MAX_GROWTH_MB])
    bad.answers[503] = 100
    assert [miss.split()[0] for miss in bad.missed()] == ["answers", "p99", "memory"]
