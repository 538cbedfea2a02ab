"""When the breaker opens, and when it asks again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reflex_frontend.policy.breaker import Breaker
from support.clock import Clock


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, jitter=lambda: 0.5)


def test_the_fifth_failure_in_a_row_opens(breaker: Breaker) -> None:
    for _ in range(4):
        breaker.record_failure("broken")
    assert not breaker.is_open
    breaker.record_failure("broken again")
    assert breaker.is_open
    assert breaker.reason == "broken again"


def test_the_log_says_once_why_it_opened(breaker: Breaker, caplog: pytest.LogCaptureFixture) -> None:
    breaker.open("the model failed: no memory")
    breaker.open("the model failed: still none")
    assert [(record.levelname, record.__dict__["reason"]) for record in caplog.records] == [
        ("WARNING", "the model failed: no memory")
    ]


def test_a_success_starts_the_row_again(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.record_failure("broken")
        breaker.record_failure("broken")
        breaker.record_success()
    assert not breaker.is_open


def test_over_half_of_the_last_twenty_opens_and_exactly_half_does_not(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.record_success()
        breaker.record_failure("broken")
    assert not breaker.is_open
    breaker.record_failure("broken")
    assert breaker.is_open


def test_shares_of_fewer_than_twenty_outcomes_say_nothing(breaker: Breaker) -> None:
    breaker.record_success()
    for _ in range(4):
        breaker.record_failure("broken")
    assert not breaker.is_open


def test_a_success_does_not_close(breaker: Breaker) -> None:
    breaker.open("lost")
    for _ in range(30):
        breaker.record_success()
    assert breaker.is_open


def test_closing_forgets_every_failure(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.record_failure("broken")
    breaker.close()
    for _ in range(4):
        breaker.record_failure("broken")
    assert not breaker.is_open


def test_the_first_probe_is_due_after_a_quarter_second(breaker: Breaker, clock: Clock) -> None:
    breaker.open("lost")
    assert breaker.probe_in_s == pytest.approx(0.25)
    clock.now_s += 0.2
    assert breaker.probe_in_s == pytest.approx(0.05)
    clock.now_s += 9.0
    assert breaker.probe_in_s == 0.0


def test_probes_double_up_to_five_seconds(breaker: Breaker) -> None:
    breaker.open("lost")
    waits = [breaker.probe_in_s]
    for _ in range(6):
        breaker.probe_failed("still lost")
        waits.append(breaker.probe_in_s)
    assert waits == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0])


def test_after_closing_the_probes_start_small_again(breaker: Breaker) -> None:
    breaker.open("lost")
    for _ in range(6):
        breaker.probe_failed("still lost")
    breaker.close()
    breaker.open("lost")
    assert breaker.probe_in_s == pytest.approx(0.25)


def test_failures_while_open_do_not_put_the_probe_off(breaker: Breaker, clock: Clock) -> None:
    breaker.open("lost")
    clock.now_s += 0.2
    for _ in range(10):
        breaker.record_failure("broken")
    assert breaker.probe_in_s == pytest.approx(0.05)


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 0.2), (1.0, 0.3)])
def test_jitter_moves_a_probe_by_a_fifth_either_way(clock: Clock, jitter: float, wait_s: float) -> None:
    breaker = Breaker(clock, jitter=lambda: jitter)
    breaker.open("lost")
    assert breaker.probe_in_s == pytest.approx(wait_s)


def test_twenty_outcomes_are_enough_to_open(breaker: Breaker) -> None:
    outcomes = [True, False] * 9 + [False, False]
    for has_succeeded in outcomes[:-1]:
        breaker.record_success() if has_succeeded else breaker.record_failure("broken")
    assert not breaker.is_open
    breaker.record_failure("broken")
    assert breaker.is_open


def test_closing_forgets_the_share_of_failures_too(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.record_success()
        breaker.record_failure("broken")
    breaker.open("lost")
    breaker.close()
    breaker.record_failure("broken")
    assert not breaker.is_open


@pytest.mark.parametrize("forget", [Breaker.record_success, Breaker.close])
def test_five_failures_open_again_after_the_row_was_broken(breaker: Breaker, forget: Callable[[Breaker], None]) -> None:
    breaker.record_failure("broken")
    forget(breaker)
    for _ in range(4):
        breaker.record_failure("broken")
    assert not breaker.is_open
    breaker.record_failure("broken")
    assert breaker.is_open


def test_every_opening_counts_once(breaker: Breaker) -> None:
    assert breaker.opened_total == 0
    breaker.open("lost")
    breaker.open("lost again")
    breaker.probe_failed("still lost")
    assert breaker.opened_total == 1
    breaker.close()
    breaker.open("lost")
    assert breaker.opened_total == 2


def test_a_failed_probe_says_why_from_then_on(breaker: Breaker) -> None:
    breaker.open("lost")
    breaker.probe_failed("the canary was wrong")
    assert breaker.reason == "the canary was wrong"


def test_without_an_opening_no_probe_is_waited_for() -> None:
    assert Breaker(lambda: 0.0).probe_in_s == 0.0
