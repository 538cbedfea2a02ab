"""How often a login may be begun, asked for and guessed."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.login_limits import INTERVAL_S, LoginLimits
from support.clock import Clock, clock

__all__ = ["clock"]


def admin(key: str, organisation: str = "org_1") -> Actor:
    return Actor(key, key, organisation, frozenset(SCOPES))


def guess(limits: LoginLimits, actor: Actor, *, is_right: bool = False) -> str:
    try:
        with limits.guessing(actor):
            if not is_right:
                raise LookupError
    except LookupError:
        return "wrong"
    except ServiceError as refused:
        return refused.code if refused.retry_after_s else "no Retry-After"
    return "right"


def test_an_address_begins_twenty_and_then_one_every_twenty_seconds(clock: Clock) -> None:
    limits = LoginLimits(clock)
    for _ in range(20):
        limits.start("10.0.0.1")
    with pytest.raises(ServiceError) as refused:
        limits.start("10.0.0.1")
    assert refused.value.retry_after_s == pytest.approx(20)
    limits.start("10.0.0.2")
    clock.now_s += 20.1
    limits.start("10.0.0.1")


def test_a_login_is_asked_for_once_in_its_interval(clock: Clock) -> None:
    limits = LoginLimits(clock)
    limits.ask("login_1")
    limits.ask("login_2")
    clock.now_s += 1
    with pytest.raises(ServiceError) as refused:
        limits.ask("login_1")
    assert refused.value.retry_after_s == pytest.approx(3.5)
    assert INTERVAL_S == 5.0
    clock.now_s += 3.4
    with pytest.raises(ServiceError):
        limits.ask("login_1")
    clock.now_s += 0.2
    limits.ask("login_1")


def test_a_key_guesses_wrong_five_times_and_then_once_a_minute(clock: Clock) -> None:
    limits = LoginLimits(clock)
    assert [guess(limits, admin("key_1")) for _ in range(6)] == ["wrong"] * 5 + ["rate_limited"]
    assert guess(limits, admin("key_1"), is_right=True) == "rate_limited"
    clock.now_s += 59.9
    assert guess(limits, admin("key_1")) == "rate_limited"
    clock.now_s += 0.2
    assert [guess(limits, admin("key_1")) for _ in range(2)] == ["wrong", "rate_limited"]


def test_codes_that_are_found_cost_nothing(clock: Clock) -> None:
    limits = LoginLimits(clock)
    assert {guess(limits, admin("key_1"), is_right=True) for _ in range(500)} == {"right"}


def test_other_keys_of_the_organisation_are_no_way_around_it(clock: Clock) -> None:
    limits = LoginLimits(clock)
    outcomes = [guess(limits, admin(f"key_{number}")) for number in range(25)]

    assert outcomes == ["wrong"] * 20 + ["rate_limited"] * 5
    clock.now_s += 14.9
    assert guess(limits, admin("key_x")) == "rate_limited"
    clock.now_s += 0.2
    assert [guess(limits, admin(key)) for key in ("key_y", "key_z")] == ["wrong", "rate_limited"]
    assert guess(limits, admin("key_x", "org_2"), is_right=True) == "right"


def test_all_organisations_together_are_bounded(clock: Clock) -> None:
    limits = LoginLimits(clock)
    outcomes = [guess(limits, admin(f"key_{number}", f"org_{number}")) for number in range(250)]

    assert outcomes.count("wrong") == 200
    clock.now_s += 10.1  # one a second
    later = [guess(limits, admin(f"key_{number}", f"org_{number}")) for number in range(2000, 2020)]
    assert later.count("wrong") == 10
    clock.now_s += 600
    later = [guess(limits, admin(f"key_{number}", f"org_{number}")) for number in range(300, 1300)]
    assert later.count("wrong") == 200
