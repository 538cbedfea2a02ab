"""/health's verdict and the refusal of each phase."""

from __future__ import annotations

import numpy as np
import pytest

from reflex.errors import InferenceError, UnavailableError
from reflex.guard import GuardResult, Violation
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.vitals import Vitals
from support.clock import Clock


@pytest.fixture
def vitals(clock: Clock) -> Vitals:
    """Ready, one inference behind it."""
    vitals = Vitals(clock, Breaker(clock, jitter=lambda: 0.5), warming_reason=None)
    vitals.record_attempt()
    vitals.record_success()
    return vitals


def refusal(vitals: Vitals) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        vitals.admit()
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 0
    return caught.value


def test_a_ready_instance_admits(vitals: Vitals) -> None:
    vitals.admit()
    assert vitals.status() == ("ready", None)


def test_a_warming_instance_says_what_it_waits_for(clock: Clock) -> None:
    vitals = Vitals(clock, Breaker(clock))
    assert vitals.status() == ("warming", "starting")
    assert refusal(vitals).code == "warming_up"


def test_retry_after_while_warming_shrinks_but_never_below_a_second(clock: Clock) -> None:
    vitals = Vitals(clock, Breaker(clock))
    assert refusal(vitals).retry_after_s == 5.0
    clock.now_s += 3
    assert refusal(vitals).retry_after_s == 2.0
    clock.now_s += 300
    assert refusal(vitals).retry_after_s == 1.0


def test_an_open_breaker_degrades_and_retry_after_is_its_next_probe(vitals: Vitals, clock: Clock) -> None:
    vitals.breaker.open("Triton does not answer")
    assert vitals.status() == ("degraded", "Triton does not answer")
    assert refusal(vitals).code == "circuit_open"
    assert refusal(vitals).retry_after_s == pytest.approx(0.25)
    clock.now_s += 60  # the probe is overdue: still a wait, never zero
    assert refusal(vitals).retry_after_s == pytest.approx(0.05)


def test_attempts_without_a_success_for_twelve_seconds_degrade(vitals: Vitals, clock: Clock) -> None:
    for _ in range(14):
        clock.now_s += 1
        vitals.record_attempt()
    assert vitals.status() == ("degraded", "no inference has succeeded lately")
    vitals.record_success()
    assert vitals.status()[0] == "ready"


def test_idleness_alone_does_not_degrade(vitals: Vitals, clock: Clock) -> None:
    clock.now_s += 3600
    assert vitals.status()[0] == "ready"


def test_the_first_attempt_after_a_long_idle_time_does_not_degrade(vitals: Vitals, clock: Clock) -> None:
    clock.now_s += 3600
    vitals.record_attempt()
    clock.now_s += 0.1
    assert vitals.status()[0] == "ready"


def test_the_first_attempt_of_a_policy_without_a_canary_does_not_degrade(clock: Clock) -> None:
    vitals = Vitals(clock, Breaker(clock), warming_reason=None)
    vitals.record_attempt()
    clock.now_s += 0.1
    assert vitals.status()[0] == "ready"


@pytest.mark.parametrize("phase", ["warming", "open"])
def test_a_policy_is_out_exactly_while_it_refuses(vitals: Vitals, phase: str) -> None:
    assert not vitals.is_out
    vitals.admit()
    if phase == "warming":
        vitals.warming_reason = "loading"
    else:
        vitals.breaker.open("lost")
    assert vitals.is_out
    refusal(vitals)


def test_twelve_seconds_without_an_answer_are_not_yet_stale_and_more_are(vitals: Vitals, clock: Clock) -> None:
    vitals.record_attempt()
    clock.now_s += 12
    assert vitals.status()[0] == "ready"
    clock.now_s += 0.1
    assert vitals.status()[0] == "degraded"


def test_a_success_is_dated_and_breaks_the_row_of_failures(vitals: Vitals, clock: Clock) -> None:
    for _ in range(4):
        vitals.breaker.record_failure("broken")
    clock.now_s += 7
    vitals.record_success()
    vitals.breaker.record_failure("broken")
    assert vitals.last_success_at == 107.0
    assert not vitals.is_out


def test_a_suspicion_wakes_the_canary_and_says_why(vitals: Vitals) -> None:
    woken: list[str | None] = []
    vitals.on_suspicion = lambda: woken.append(vitals.suspicion)
    vitals.suspect("not finite")
    assert woken == ["not finite"]
    vitals.admit()


def test_an_instance_whose_chunks_are_implausible_is_degraded_and_still_admits(vitals: Vitals) -> None:
    wild = GuardResult(np.zeros((1, 1), np.float32), (Violation(0, 0, "elbow", 9.0, 1.0, "above_range"),))
    for _ in range(5):
        with pytest.raises(InferenceError, match="elbow"):
            vitals.plausibility.check(wild)

    status, reason = vitals.status()
    assert status == "degraded"
    assert reason is not None
    assert "elbow" in reason
    vitals.admit()


def test_how_much_may_be_clamped_is_the_policy_s_own(clock: Clock) -> None:
    assert Vitals(clock, Breaker(clock)).plausibility.max_percent == 50.0
    assert Vitals(clock, Breaker(clock), max_clamped_percent=7.0).plausibility.max_percent == 7.0
