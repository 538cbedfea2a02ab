"""A policy that sees what robots see and answers nobody: how it would have answered is measured.

It never delays an answer. A copy waits in a short queue until the server has nothing else to do, one copy at a time;
when the queue is full the copy is dropped and counted.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from reflex.errors import ServiceError
from reflex.numerics import cosine, max_abs
from reflex.traces.schema import ShadowRecord
from reflex.wire import ObserversHealth, SlotHealth
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.observation.images import Pixels
from reflex_frontend.observation.request import ActRequest
from reflex_frontend.policy.inference import Actions
from reflex_frontend.policy.loaded_policy import LoadedPolicy

__all__ = ["Comparison", "Shadow", "ShadowCounts", "ShadowRecorder", "compared"]

QUEUED_COPIES: Final = 8
PATIENCE_S: Final = 5.0
"""A shadow that has not answered by then is counted as failed; nobody waits for it."""
QUIET_S: Final = 0.002
"""Between an answer and the robot's next request at full speed; only in a longer pause a copy may run."""
LONGEST_WAIT_S: Final = 1.0
"""For a quiet moment. A server that is never quiet has no room for a shadow."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two raw chunks over the steps that both have: cosine, and the largest difference of each axis in robot units."""

    cosine: float
    max_abs: tuple[float, ...]


class ShadowCounts(Protocol):
    """Where the outcome is counted."""

    def count_shadow(self, result: str) -> None: ...
    def observe_shadow(self, comparison: Comparison, latency_s: float, violations: int) -> None: ...


class ShadowRecorder(Protocol):
    """Where the outcome is recorded, if anything is."""

    def record_shadow(self, shadow: ShadowRecord, episode_id: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class _Copy:
    request: ActRequest
    pixels: Mapping[str, Pixels]
    answered: Actions
    record_seq: int | None


@dataclass
class Shadow:
    """An observer of every answer. `run` does the work; `percent` of the answers are looked at."""

    loaded: LoadedPolicy
    instance: Instance
    counts: ShadowCounts
    recorder: ShadowRecorder | None = None
    percent: float = 100.0
    draw: Callable[[], float] = field(default=random.random)
    _queue: deque[_Copy] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, exchange: Exchange, error: ServiceError | None) -> None:
        """Keep a copy of what was answered; references only."""
        if error is not None or exchange.outcome is None or exchange.request is None:
            return
        if self.draw() * 100.0 >= self.percent:
            return
        if len(self._queue) >= QUEUED_COPIES:
            self.counts.count_shadow("dropped")
            return
        outcome = exchange.outcome
        self._queue.append(_Copy(exchange.request, outcome.pixels, outcome.chunk, exchange.record_seq))
        self._wake.set()

    def health(self) -> ObserversHealth:
        """Its own line: a broken shadow is no reason to send robots elsewhere."""
        status, reason = self.loaded.vitals.status()
        shadow: SlotHealth = {"status": status, "model_version": self.loaded.policy.config.model_version}
        if reason is not None:
            shadow["reason"] = reason
        return {"shadow": shadow}

    def gauges(self) -> Mapping[str, float]:
        """None: it counts as it goes."""
        return {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                copy = self._queue.popleft()
                if await self._is_quiet():
                    await self._ask(copy)
                else:
                    self.counts.count_shadow("dropped")

    async def _is_quiet(self) -> bool:
        """True in the first pause between requests, False when none comes."""
        deadline = self.instance.now() + LONGEST_WAIT_S
        while self.instance.now() < deadline:
            await asyncio.sleep(QUIET_S)
            if not self.instance.answering:
                return True
        return False

    async def _ask(self, copy: _Copy) -> None:
        started = self.instance.now()
        try:
            self.loaded.vitals.admit()
            chunk = await self._answer(copy, started + PATIENCE_S)
        except ServiceError as exc:
            self.counts.count_shadow("failed")
            self._record(copy, error=exc.code)
            return
        latency_s = self.instance.now() - started
        comparison = compared(copy.answered, chunk)
        violations = len(self.loaded.guarded(chunk).violations)
        self.counts.count_shadow("compared")
        self.counts.observe_shadow(comparison, latency_s, violations)
        self._record(
            copy,
            actions_raw=chunk,
            cosine=comparison.cosine,
            max_abs=comparison.max_abs,
            latency_ms=round(latency_s * 1000.0, 3),
            violations=violations,
        )

    async def _answer(self, copy: _Copy, deadline: float) -> Actions:
        await self.loaded.admission.enter(deadline)
        try:
            tensors = self.loaded.tensors(copy.request, copy.pixels)
        except ServiceError:
            self.loaded.admission.leave(None)
            raise
        return (await self.loaded.runner.infer(tensors, deadline)).actions

    def _record(self, copy: _Copy, **outcome: Any) -> None:  # noqa: ANN401 - fields of ShadowRecord
        if self.recorder is not None and copy.record_seq is not None:
            version = self.loaded.policy.config.model_version
            record = ShadowRecord(record_seq=copy.record_seq, policy=version, **outcome)
            self.recorder.record_shadow(record, copy.request.episode_id)


def compared(one: Actions, other: Actions) -> Comparison:
    """Two chunks [steps, axes] of the same axes; of different lengths, over the shorter one."""
    steps = min(len(one), len(other))
    a, b = one[:steps], other[:steps]
    return Comparison(cosine(a, b), tuple(max_abs(a[:, axis], b[:, axis]) for axis in range(a.shape[1])))
