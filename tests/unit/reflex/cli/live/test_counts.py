from __future__ import annotations

import time

import pytest

from reflex.cli.live.counts import read_counts
from reflex_frontend.observing.metrics import Metrics
from support.fakes import FakeTriton, act_service, policy_config


def exposition(*latencies_s: float, clamped: int = 0) -> str:
    """What a server has counted, by the server's own means."""
    service = act_service(FakeTriton(), time.monotonic, config=policy_config(), second=FakeTriton())
    metrics: Metrics = service.metrics
    for number, latency_s in enumerate(latencies_s):
        metrics.of_slot("a" if number % 2 else "b").observe_success(latency_s, clamped=number < clamped)
        metrics.count_answer(200, "a")
    metrics.count_answer(422, None)
    return metrics.exposition().decode()


def test_the_servers_own_exposition_is_read_over_all_slots() -> None:
    counts = read_counts(exposition(0.004, 0.02, 0.03, clamped=2))

    assert counts.answers == 3
    assert counts.mean_ms == pytest.approx(18.0)
    assert counts.guarded == 2
    assert {status: count for status, count in counts.errors.items() if count} == {"422": 1}


def test_a_quantile_is_told_by_the_bucket_that_it_lies_in() -> None:
    counts = read_counts(exposition(*[0.004] * 98, 0.09, 0.09))
    few, most = counts.at_most_ms(0.5), counts.at_most_ms(0.99)

    assert few is not None
    assert most is not None
    assert 4 <= few < 90 <= most


def test_between_two_looks_only_what_came_counts() -> None:
    before, now = read_counts(exposition(0.01)), read_counts(exposition(0.01, 0.5, 0.5))
    recent = now.since(before)

    assert recent.answers == 2
    assert recent.mean_ms == pytest.approx(500)
    assert recent.at_most_ms(0.01) == now.at_most_ms(0.99)
    assert now.since(now).mean_ms is None


def test_after_a_restart_everything_is_new() -> None:
    before, now = read_counts(exposition(0.01, 0.01, 0.01)), read_counts(exposition(0.02))

    assert now.since(before) == now


@pytest.mark.parametrize(
    "text",
    ["", "<html>", "reflex_act_latency_seconds_count NaN", "reflex_act_latency_seconds_count x", 'a{b="c} 1', "\x00"],
)
def test_what_is_no_exposition_counts_as_nothing(text: str) -> None:
    counts = read_counts(text)

    assert (counts.answers, counts.mean_ms, counts.at_most_ms(0.99), dict(counts.errors)) == (0, None, None, {})
