"""The SLO's text, its hysteresis on a clock of the test, and who passes while it is violated."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import Slo, parse_slo
from support.clock import Clock

SLO = Slo(permille=990, threshold_s=0.15)
KEPT_S, BETWEEN_S, SLOW_S = 0.1, 0.13, 0.2
WINDOW_S, CLEAR_CHECKS, MIN_SAMPLES, MIN_SLOW = 30, 3, 50, 3


def monitor(clock: Clock, slo: Slo = SLO) -> SloMonitor:
    return SloMonitor(slo, clock)


def spend(clock: Clock, slo: SloMonitor, seconds: float, latency_s: float, *, per_s: int = 20) -> None:
    """A steady stream of answers of one latency."""
    for _ in range(round(seconds * per_s)):
        slo.record(latency_s)
        clock.now_s += 1 / per_s


@pytest.mark.parametrize(
    ("text", "permille", "threshold_s", "name"),
    [
        ("p99=150ms", 990, 0.15, "p99"),
        ("p50=1ms", 500, 0.001, "p50"),
        ("p99.9=0.5s", 999, 0.5, "p99.9"),
        (" p95=10s ", 950, 10.0, "p95"),
        ("p90.0=12.5ms", 900, 0.0125, "p90"),
    ],
)
def test_an_slo_is_a_percentile_and_a_time(text: str, permille: int, threshold_s: float, name: str) -> None:
    slo = parse_slo(text)

    assert (slo.permille, slo.name) == (permille, name)
    assert slo.threshold_s == pytest.approx(threshold_s)


@pytest.mark.parametrize("text", ["", "p99", "p99=150", "99=150ms", "p100=1s", "p99.99=1s", "p99=-1s", "p99=nans",
                                  "p99=1e3ms", "p٩٩=150ms", "p99=150ms p50=1s"])  # fmt: skip
def test_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="must look like p99=150ms"):
        parse_slo(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("p49.9=1s", "p50 to p99.9"), ("p99=0.5ms", "1ms to 10s"), ("p99=11s", "1ms to 10s"), ("p99=0s", "1ms to 10s")],
)
def test_a_figure_out_of_bounds_is_refused_with_the_bounds(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_slo(text)


def test_slow_answers_violate_within_a_second_of_the_fiftieth() -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 2.4, SLOW_S)  # 48 answers
    assert not slo.is_violated
    spend(clock, slo, 1.1, SLOW_S)
    assert slo.is_violated
    assert slo.violations_total == 1


def test_a_violation_clears_when_the_slow_answers_left_the_window_and_three_checks_passed() -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 10, SLOW_S)
    spend(clock, slo, WINDOW_S + CLEAR_CHECKS - 2, KEPT_S)
    assert slo.is_violated
    spend(clock, slo, 2, KEPT_S)
    assert not slo.is_violated
    assert slo.violations_total == 1


def test_between_the_two_limits_nothing_changes() -> None:
    clock = Clock()
    never, was = monitor(clock), monitor(clock)
    for _ in range(200):
        was.record(SLOW_S)
    clock.now_s += 1
    assert was.is_violated
    for _ in range(100 * 20):
        never.record(BETWEEN_S)
        was.record(BETWEEN_S)
        clock.now_s += 0.05
    assert was.is_violated
    assert not never.is_violated


def test_one_relapse_starts_the_count_of_checks_anew() -> None:
    clock = Clock()
    slo = SloMonitor(SLO, clock, window_s=1.0, min_samples=10)
    spend(clock, slo, 5, SLOW_S)
    for _ in range(4):
        spend(clock, slo, 2, KEPT_S)
        spend(clock, slo, 1, BETWEEN_S)
    assert slo.is_violated
    spend(clock, slo, 4, KEPT_S)
    assert not slo.is_violated


def test_a_few_slow_answers_among_few_are_no_violation() -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 2, KEPT_S)
    for _ in range(MIN_SLOW - 1):
        slo.record(SLOW_S)
    spend(clock, slo, 2, KEPT_S)
    assert not slo.is_violated
    spend(clock, slo, 0.05, SLOW_S)
    spend(clock, slo, 2, KEPT_S)
    assert slo.is_violated


def test_the_share_counts_not_the_number() -> None:
    """Nine of a thousand over the threshold keep a p99; eleven do not."""
    clock = Clock()
    for slow, is_violated in ((9, False), (11, True)):
        slo = monitor(clock)
        for number in range(1000):
            slo.record(SLOW_S if number < slow else KEPT_S)
        clock.now_s += 1
        assert slo.is_violated is is_violated


def test_exactly_the_threshold_is_kept_and_exactly_its_clearing_share_clears() -> None:
    for threshold_s in (0.001, 0.0125, 0.1, 0.15, 0.333, 1.0, 7.7):
        clock = Clock()
        slo = monitor(clock, Slo(500, threshold_s))
        spend(clock, slo, 10, threshold_s)
        assert not slo.is_violated
        spend(clock, slo, 40, threshold_s * 1.0001)
        assert slo.is_violated
        spend(clock, slo, 40, threshold_s * 0.8001)
        assert slo.is_violated
        spend(clock, slo, 40, threshold_s * 0.8)
        assert not slo.is_violated


def test_a_server_that_nobody_asks_any_more_recovers() -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 10, SLOW_S)
    clock.now_s += 8 * 3600
    assert not slo.is_violated
    assert slo.percentile_s is None


def test_retry_after_is_when_the_violation_clears_if_nothing_slow_comes() -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 10, SLOW_S)
    assert slo.is_violated
    clock.now_s += slo.retry_after_s - 1.1
    assert slo.is_violated
    clock.now_s += 1.1
    assert not slo.is_violated


def test_while_it_is_kept_everybody_passes() -> None:
    clock = Clock()
    slo = monitor(clock)
    assert all(slo.admits() for _ in range(1000))


@pytest.mark.parametrize(("per_s", "share"), [(400, 1 / 20), (10, 1 / 10), (2, 1 / 2), (1, 1)])
def test_while_it_is_violated_one_in_twenty_passes_and_one_a_second(per_s: int, share: float) -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 10, SLOW_S)
    admitted = 0
    for _ in range(20 * per_s):
        admitted += slo.admits()
        clock.now_s += 1 / per_s
    assert slo.is_violated
    assert admitted / (20 * per_s) == pytest.approx(share, abs=1.5 / per_s / 20 + 0.01)


@pytest.mark.parametrize("per_s", [2, 20, 200])
def test_a_refusing_server_recovers_by_its_probes_alone(per_s: int) -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 10, SLOW_S)
    seconds = 0.0
    while slo.is_violated and seconds < 120:
        if slo.admits():
            slo.record(KEPT_S)
        clock.now_s += 1 / per_s
        seconds += 1 / per_s
    assert WINDOW_S <= seconds <= WINDOW_S + CLEAR_CHECKS + 1
    assert slo.percentile_s == pytest.approx(KEPT_S, rel=0.05)


@pytest.mark.parametrize("per_s", [2, 20, 200])
def test_a_refusing_server_whose_probes_are_slow_goes_on_refusing(per_s: int) -> None:
    clock = Clock()
    slo = monitor(clock)
    spend(clock, slo, 10, SLOW_S)
    for _ in range(120 * per_s):
        if slo.admits():
            slo.record(SLOW_S)
        clock.now_s += 1 / per_s
        assert slo.is_violated


@pytest.mark.parametrize(
    ("mode", "told"),
    [("log", "go on as before"), ("refuse", "are refused, but for one in 20"), ("degrade", "fewer denoising steps")],
)
def test_the_log_says_which_slot_missed_it_by_how_much_and_what_now_happens(
    mode: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    slo = SloMonitor(SLO, clock, name="b", mode=mode)
    with caplog.at_level(logging.INFO, "reflex.slo"):
        spend(clock, slo, 10, SLOW_S)
        clock.now_s += 100
        assert not slo.is_violated
    missed, kept = caplog.records
    assert missed.levelname == "WARNING"
    assert missed.getMessage().startswith("SLO missed: ")
    assert told in missed.getMessage()
    assert (missed.__dict__["slot"], missed.__dict__["slo"]) == ("b", "p99=150ms")
    assert missed.__dict__["measured_ms"] == pytest.approx(200, rel=0.05)
    assert kept.getMessage().startswith("SLO kept again")
    assert (kept.levelname, kept.__dict__["slot"], kept.__dict__["measured_ms"]) == ("INFO", "b", "no answers")


def test_a_renewed_one_keeps_its_name(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    slo = SloMonitor(SLO, clock, name="b", mode="refuse").renewed()
    spend(clock, slo, 10, SLOW_S)
    assert caplog.records[0].__dict__["slot"] == "b"
    assert "refused" in caplog.text


def test_the_window_takes_bounded_memory() -> None:
    clock = Clock()
    slo = monitor(clock)
    draw = random.Random(3)
    for _ in range(50_000):
        slo.record(10 ** draw.uniform(-7, 4))
        clock.now_s += 0.01
    window = slo._window
    assert len(window._closed) == WINDOW_S
    assert max(len(part) for part in window._closed) <= 301
    assert window.count == sum(part.total() for part in window._closed) == window._sums.total()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    latencies=st.lists(st.floats(0.15 / 700, 0.15 * 700), min_size=1, max_size=300),
    permille=st.integers(500, 999),
)
def test_the_percentile_is_at_most_five_percent_off(latencies: list[float], permille: int) -> None:
    clock = Clock()
    slo = monitor(clock, Slo(permille, 0.15))
    for latency_s in latencies:
        slo.record(latency_s)
    clock.now_s += 1
    measured_s = slo.percentile_s or 0.0
    assert 0.9999 <= measured_s / exact_percentile(latencies, permille) <= 1.05


EIGHTHS = st.integers(0, 60).map(lambda eighths: eighths / 8)
BURSTS = st.lists(
    st.tuples(EIGHTHS, st.integers(0, 60), st.sampled_from([0.05, 0.119, 0.13, 0.149, 0.151, 0.5]), st.booleans()),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(bursts=BURSTS, permille=st.sampled_from([500, 900, 990, 999]))
def test_it_agrees_with_the_definition_whoever_asks_and_when(
    bursts: list[tuple[float, int, float, bool]], permille: int
) -> None:
    clock = Clock(0.0)
    slo = monitor(clock, Slo(permille, 0.15))
    samples: list[tuple[float, float]] = []
    for pause_s, count, latency_s, is_asked in bursts:
        clock.now_s += pause_s
        for _ in range(count):
            slo.record(latency_s)
            samples.append((clock.now_s, latency_s))
        if is_asked:
            assert slo.is_violated == defined_state(samples, permille, clock.now_s)[0]
    clock.now_s += 1
    measured = slo.is_violated, slo.violations_total
    assert measured == defined_state(samples, permille, clock.now_s)


def exact_percentile(latencies: Sequence[float], permille: int) -> float:
    return sorted(latencies)[math.ceil(permille * len(latencies) / 1000) - 1]


def defined_state(samples: Sequence[tuple[float, float]], permille: int, now_s: float) -> tuple[bool, int]:
    """The docstring of `SloMonitor`, read literally: every check with every sample of its window."""
    is_violated, violations, passed = False, 0, 0
    for check_s in range(1, math.floor(now_s) + 1):
        window = [latency_s for at, latency_s in samples if check_s - WINDOW_S <= at < check_s]
        percentile = exact_percentile(window, permille) if window else 0.0
        slow = sum(latency_s > 0.15 for latency_s in window)
        if not is_violated and len(window) >= MIN_SAMPLES and slow >= MIN_SLOW and percentile > 0.15:
            is_violated, passed, violations = True, 0, violations + 1
        elif is_violated:
            passed = passed + 1 if percentile <= 0.8 * 0.15 else 0
            is_violated = passed < CLEAR_CHECKS
    return is_violated, violations
