"""A model runner with everything around it, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from reflex.errors import ServiceError
from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.inference import Actions, ModelRunner
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.triton.gateway import Outputs, RawTensor
from support.fakes import FakeTriton, run_virtual, served_policy

__all__ = ["BROKEN", "INPUTS", "LOST", "Bench", "after", "on_bench"]

Clock = Callable[[], float]
INPUTS = [RawTensor("state", "FP32", (1, 1), b"abcd")]
LOST = TritonCallError("lost", "Socket closed")
BROKEN = TritonCallError("model", "out of memory\nwith a stack")


@dataclass
class Bench:
    """A runner with everything around it."""

    triton: FakeTriton
    now: Clock
    admission: Admission
    vitals: Vitals
    runner: ModelRunner

    async def infer(self, deadline_s: float = 1.0) -> Actions:
        """As `ActService` does: enter, then hand the place over."""
        await self.admission.enter(self.now() + deadline_s)
        return (await self.runner.infer(INPUTS, self.now() + deadline_s)).actions

    async def fails(self, kind: type[ServiceError], deadline_s: float = 1.0) -> ServiceError:
        with pytest.raises(kind) as caught:
            await self.infer(deadline_s)
        return caught.value

    async def failures_until_open(self) -> int:
        """How many more failures the breaker takes: five in a row less those that counted."""
        for more in range(6):
            if self.vitals.breaker.is_open:
                return more
            self.vitals.breaker.record_failure("one more")
        raise AssertionError("the breaker does not open")


def on_bench(triton: FakeTriton, scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def main(now: Clock) -> None:
        vitals = Vitals(now, Breaker(now, jitter=lambda: 0.5), warming_reason=None)
        admission = Admission("small", 8, 8, now)
        await scenario(Bench(triton, now, admission, vitals, ModelRunner(served_policy(), triton, admission, vitals)))

    run_virtual(main)


def after(seconds: float, result: Outputs | Exception) -> Callable[[], Coroutine[Any, Any, Outputs]]:
    async def answer() -> Outputs:
        await asyncio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        return result

    return answer
