"""How often logins by a code may be begun, asked for and guessed; counted in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from reflex_control.identity.actor import Actor
from reflex_control.rate_limits import RateLimits

__all__ = ["INTERVAL_S", "LoginLimits"]

INTERVAL_S: Final = 5.0
"""Between two questions of one login."""
TOLERANCE_S: Final = 0.5
"""Two clocks do not run alike."""
STARTS: Final = (1 / 20, 20)
"""Of one address: a second, and at once. 50 in the life of one."""
WRONG_CODES_OF_A_KEY: Final = (1 / 60, 5)
WRONG_CODES_OF_AN_ORGANISATION: Final = (1 / 15, 20)
"""A key may make others; so they are counted together, too."""
WRONG_CODES: Final = (1.0, 200)
"""Of all organisations: 800 in the life of a login, of 25,600,000,000 codes."""

Clock = Callable[[], float]


class LoginLimits:
    """Of one server. `now` is a monotonic clock in seconds; may be shared by threads."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._starts = _bucket(STARTS, now, "too many logins were begun from this address; wait for Retry-After")
        self._asks = _bucket((1 / (INTERVAL_S - TOLERANCE_S), 1), now, "asked too soon; wait for Retry-After")
        wrong = "too many wrong codes; wait for Retry-After, and compare the code with what the other machine shows"
        self._of_a_key = _bucket(WRONG_CODES_OF_A_KEY, now, wrong)
        self._of_an_organisation = _bucket(WRONG_CODES_OF_AN_ORGANISATION, now, wrong)
        self._of_all = _bucket(WRONG_CODES, now, wrong)

    def start(self, address: str) -> None:
        """`ServiceError` 429 for an address that has begun too many."""
        self._starts.take(address)

    def ask(self, login_id: str) -> None:
        """`ServiceError` 429 when less than the interval has passed."""
        self._asks.take(login_id)

    @contextmanager
    def guessing(self, actor: Actor) -> Iterator[None]:
        """Around what looks for a code: one that is found costs nothing. `ServiceError` 429 when too many were not."""
        taken = ((self._of_a_key, actor.key_id), (self._of_an_organisation, actor.organisation_id), (self._of_all, ""))
        for limits, who in taken:
            limits.take(who)
        yield
        for limits, who in taken:
            limits.give_back(who)


def _bucket(rate_and_burst: tuple[float, float], now: Clock, refusal: str) -> RateLimits:
    rate_per_s, burst = rate_and_burst
    return RateLimits(rate_per_s, now, burst=burst, refusal=refusal)
