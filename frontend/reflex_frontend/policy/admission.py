"""Who may use the model now, who waits, and who is refused while the refusal is still useful.

A robot's chunk that comes too late is worth nothing, so a request is refused at once when its predicted wait exceeds
what is left of its deadline. A place in flight is given back when Triton has answered, not when a client gave up:
Triton works on regardless.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import DeadlineExceededError, UnavailableError

__all__ = ["Admission"]

SMOOTHING: Final = 0.1
"""Weight of the newest service time in the running mean."""


@dataclass
class Admission:
    """At most `max_in_flight` calls run, at most `max_queue` wait, first come first served."""

    policy_id: str
    max_in_flight: int
    max_queue: int
    now: Callable[[], float]
    in_flight: int = 0
    service_s: float = 0.0
    """Running mean of one call's time in Triton; 0 until the first answer."""
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """No place in flight and none in the queue. Cheap: asked before a request is even read."""
        return self.in_flight >= self.max_in_flight and len(self._waiting) >= self.max_queue

    def predicted_s(self) -> float:
        """When a request that comes now would be answered, in seconds from now."""
        if self.in_flight < self.max_in_flight:
            return 0.0  # nothing to wait for; and a stale estimate must never lock an idle instance
        return self.service_s * (1 + (len(self._waiting) + 1) / self.max_in_flight)

    async def enter(self, deadline: float) -> None:
        """Take a place in flight, waiting for one until `deadline` (on `now`'s clock).

        Raises `UnavailableError` queue_full, or `DeadlineExceededError` when the wait itself used the deadline up.
        Whoever enters must call `leave` exactly once.
        """
        if self.in_flight < self.max_in_flight and not self._waiting:
            self.in_flight += 1
            return
        if self.now() >= deadline:
            raise DeadlineExceededError("deadline_exceeded", "the deadline passed before there was a place in flight")
        if self.is_full or self.now() + self.predicted_s() > deadline:
            raise self.refusal()
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

    def _hand_on(self) -> bool:
        """Give a place to who has waited longest; False when nobody waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    async def _wait(self, deadline: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(deadline - self.now()):
                await waiter
        except (TimeoutError, asyncio.CancelledError) as exc:
            self._abandon(waiter)
            if isinstance(exc, TimeoutError):
                raise DeadlineExceededError(
                    "deadline_exceeded", "the deadline passed while the request waited for a place in flight"
                ) from None
            raise

    def _abandon(self, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            self.leave(None)  # the place came in the same instant: pass it on
            return
        waiter.cancel()
        if waiter in self._waiting:
            self._waiting.remove(waiter)
