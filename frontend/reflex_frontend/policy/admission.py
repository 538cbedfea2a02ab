"""Who may use the model now, who waits, and who is refused while the refusal is still useful.

A robot's chunk that comes too late is worth nothing. So whoever waits is served by deadline, the earliest first, and is
refused as soon as its deadline cannot be kept: when it comes, by the predicted wait; while it waits, by the quickest of
the latest calls. Nobody is let in before others who would be late for it.

A place in flight is given back when Triton has answered, not when a client gave up: Triton works on regardless.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import DeadlineExceededError, ServiceError, UnavailableError

__all__ = ["Admission"]

SMOOTHING: Final = 0.1
"""Weight of the newest service time in the running mean."""
LATEST_CALLS: Final = 16
"""The quickest of so many is what the model can do now."""
MAX_PREPARING: Final = 16
"""Requests whose pictures are being decoded, besides those that may wait."""


@dataclass(order=True, slots=True)
class _Waiter:
    """Those with the same deadline in the order in which they came."""

    deadline: float
    number: int
    place: asyncio.Future[None] = field(compare=False)


@dataclass
class Admission:
    """At most `max_in_flight` calls run, at most `max_queue` wait, and of those the earliest deadline is next."""

    policy_id: str
    max_in_flight: int
    max_queue: int
    now: Callable[[], float]
    in_flight: int = 0
    service_s: float = 0.0
    """Running mean of one call's time in Triton; 0 until the first answer."""
    _waiting: list[_Waiter] = field(default_factory=list)
    """A heap."""
    _latest_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST_CALLS))
    _preparing: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Nobody has a place, waits for one, or gets ready for one."""
        return not (self.in_flight or self._waiting or self._preparing)

    @property
    def is_full(self) -> bool:
        """No place in flight and none in the queue. Cheap: asked before a request is even read."""
        return self.in_flight >= self.max_in_flight and len(self._waiting) >= self.max_queue

    @property
    def quickest_s(self) -> float:
        """Of the latest calls, that which took least: nobody can be answered sooner. 0 until the first answer."""
        return min(self._latest_s, default=0.0)

    def predicted_s(self, deadline: float = math.inf) -> float:
        """When a request that comes now would be answered, in seconds from now."""
        if self.in_flight < self.max_in_flight:
            return 0.0  # nothing to wait for; and a stale estimate must never lock an idle instance
        return self._answered_in_s(sum(waiter.deadline <= deadline for waiter in self._waiting))

    @contextlib.contextmanager
    def preparing(self, deadline: float) -> Iterator[None]:
        """Around what a request needs before it enters: it holds no place for that, however long it takes.

        Raises what `enter` would raise at once: nothing is prepared for a request that is refused.
        """
        if self._has_to_wait:
            self._refuse_hopeless(deadline)
        if self._preparing + len(self._waiting) >= MAX_PREPARING + self.max_queue:
            raise self.refusal()
        self._preparing += 1
        try:
            yield
        finally:
            self._preparing -= 1

    async def enter(self, deadline: float) -> None:
        """Take a place in flight, waiting for one until `deadline` (on `now`'s clock).

        Raises `UnavailableError` queue_full, or `DeadlineExceededError` when the wait itself used the deadline up.
        Whoever enters must call `leave` exactly once.
        """
        if not self._has_to_wait:
            self.in_flight += 1
            return
        self._refuse_hopeless(deadline)
        await self._wait(deadline)

    def resize(self, max_in_flight: int, max_queue: int) -> None:
        """Other limits from now on; whoever has a place keeps it, and who waits gets one where there are more."""
        self.max_in_flight, self.max_queue = max_in_flight, max_queue
        while self.in_flight < max_in_flight and self._hand_on():
            self.in_flight += 1

    def leave(self, service_s: float | None) -> None:
        """Give the place back; `service_s` is how long Triton took, None when it gave no answer."""
        if service_s is not None:
            self.service_s += (service_s - self.service_s) * (SMOOTHING if self.service_s else 1.0)
            self._latest_s.append(service_s)
        if self.in_flight > self.max_in_flight or not self._hand_on():
            self.in_flight -= 1

    def refusal(self) -> UnavailableError:
        """The answer for whom there is no room, with the time in which the queue drains."""
        drain_s = self.service_s * (1 + len(self._waiting) / self.max_in_flight)
        return UnavailableError(
            "queue_full",
            "this instance has as many requests as it can answer in time; retry after Retry-After or elsewhere",
            retry_after_s=max(drain_s, 0.05),
            context={"policy_id": self.policy_id, "max_queue": self.max_queue},
        )

    @property
    def _has_to_wait(self) -> bool:
        return self.in_flight >= self.max_in_flight or bool(self._waiting)

    def _refuse_hopeless(self, deadline: float) -> None:
        """Raise for whom waiting would be in vain."""
        if self.now() >= deadline:
            raise DeadlineExceededError("deadline_exceeded", "the deadline passed before there was a place in flight")
        late = self.now() + self.predicted_s(deadline) > deadline
        if self.is_full or late or self._would_make_late(deadline):
            raise self.refusal()

    def _answered_in_s(self, before: int) -> float:
        """With so many waiting before it."""
        return self.service_s * (1 + (before + 1) / self.max_in_flight)

    def _would_make_late(self, deadline: float) -> bool:
        """Whether somebody who waits, and would be in time, would be late behind one with this deadline."""
        slack = sorted(waiter.deadline - self.now() for waiter in self._waiting)
        return any(
            self._answered_in_s(before) <= left_s < self._answered_in_s(before + 1)
            for before, left_s in enumerate(slack)
            if left_s > deadline - self.now()
        )

    def _hand_on(self) -> bool:
        """Give a place to the earliest deadline that can still be kept; False when nobody waits."""
        while self._waiting:
            waiter = heapq.heappop(self._waiting)
            if waiter.place.done():
                continue
            if self.now() + self.quickest_s <= waiter.deadline:
                waiter.place.set_result(None)
                return True
            waiter.place.set_exception(self._too_late(waiter.deadline))
        return False

    async def _wait(self, deadline: float) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(deadline, next(self._numbers), place)
        heapq.heappush(self._waiting, waiter)
        try:
            async with asyncio.timeout(deadline - self.quickest_s - self.now()):
                await place
        except TimeoutError:
            self._abandon(waiter)
            raise self._too_late(deadline) from None
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def _too_late(self, deadline: float) -> ServiceError:
        """For who has waited in vain: refused while there is time to go elsewhere."""
        if self.quickest_s and self.now() < deadline:
            return self.refusal()
        return DeadlineExceededError(
            "deadline_exceeded", "the deadline passed while the request waited for a place in flight"
        )

    def _abandon(self, waiter: _Waiter) -> None:
        place = waiter.place
        if place.done() and not place.cancelled() and place.exception() is None:
            self.leave(None)  # the place came in the same instant: pass it on
            return
        place.cancel()
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            heapq.heapify(self._waiting)
