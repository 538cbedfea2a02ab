"""A caller asks so many at once, and so many a second; another one is not held up by it."""

from __future__ import annotations

import contextlib

import pytest

from reflex.errors import ServiceError
from reflex_control.rate_limits import MAX_CALLERS, RateLimits
from support.clock import Clock, clock

__all__ = ["clock"]


def allowed(limits: RateLimits, caller: str, count: int) -> int:
    passed = 0
    for _ in range(count):
        with contextlib.suppress(ServiceError):
            limits.take(caller)
            passed += 1
    return passed


@pytest.mark.parametrize(("limits", "at_once"), [((10.0, None), 20), ((0.01, None), 1), ((1.0, 5.0), 5)])
def test_so_many_come_at_once(clock: Clock, limits: tuple[float, float | None], at_once: int) -> None:
    rate_per_s, burst = limits
    bucket = RateLimits(rate_per_s, clock, burst=burst)

    assert allowed(bucket, "a", 50) == at_once
    assert allowed(bucket, "b", 1) == 1
    clock.now_s += 1.01 / rate_per_s
    assert allowed(bucket, "a", 50) == 1


def test_the_refusal_says_when_the_next_may_come(clock: Clock) -> None:
    bucket = RateLimits(0.5, clock, burst=1, refusal="slowly")
    bucket.take("a")
    clock.now_s += 0.5
    with pytest.raises(ServiceError, match="slowly") as refused:
        bucket.take("a")
    assert refused.value.retry_after_s == pytest.approx(1.5)


def test_what_is_given_back_may_be_taken_again_and_no_more_than_there_was(clock: Clock) -> None:
    bucket = RateLimits(0.5, clock, burst=2)
    bucket.take("a")
    for _ in range(5):
        bucket.give_back("a")
    assert allowed(bucket, "a", 5) == 2
    bucket.give_back("a")
    assert allowed(bucket, "a", 5) == 1


def test_callers_without_number_take_no_memory_without_end(clock: Clock) -> None:
    bucket = RateLimits(0.001, clock, burst=1)
    assert allowed(bucket, "first", 2) == 1
    for number in range(MAX_CALLERS):
        bucket.take(str(number))
    assert allowed(bucket, "first", 2) == 1
