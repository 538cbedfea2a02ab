"""Finds out whether the policy can answer, before the first request, between requests and after faults."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from reflex.errors import ServiceError
from reflex.numerics import max_abs
from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.inference import ModelRunner
from reflex_frontend.policy.policy import Canary
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.triton.gateway import CALL_CAP_S, Triton

__all__ = ["HealthProbe"]

TICK_S: Final = 0.1
"""With MISSED_PULSES and the probe's time-out: a hang is noticed 3 x 0.1 + 2 x 0.3 s after the last answer."""
WRONG_CANARY_PAUSE_S: Final = 1.0
MISSED_PULSES: Final = 2
"""In a row, until Triton counts as hung: with the probe's own time-out this takes under a second."""
IDLE_CANARY_S: Final = 5.0
CANARY_TIMEOUT_S: Final = 10.0
"""At least; a model that is known to take long gets three times what it took. A hang is noticed by the pulse."""
IDLE_SHARE: Final = 0.2
"""Of the time that a slow model may spend on canaries while nobody asks it anything."""
TURNS: Final = 2
"""Of each instance, while a policy warms up: another policy's request may take one's turn."""
NO_ANSWER: Final = "the canary was not answered in time"

T = TypeVar("T")

log = logging.getLogger("reflex.health_probe")


class HealthProbe:
    """Asks Triton for its pulse, runs the canary, and opens and closes the breaker by what it finds."""

    def __init__(
        self,
        triton: Triton,
        runner: ModelRunner,
        vitals: Vitals,
        canary: Canary | None,
        *,
        models: Sequence[str] = (),
        on_instances: Callable[[Mapping[str, int]], None] | None = None,
        on_hang: Callable[[float], bool] = lambda _silent_s: False,
        on_hung_model: Callable[[], None] = lambda: None,
        why_unready: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        self._triton = triton
        self._runner = runner
        self._vitals = vitals
        self._canary = canary
        self._models = models
        self._on_instances = on_instances
        self._on_hang = on_hang
        self._on_hung_model = on_hung_model
        self._why_unready = why_unready
        self._mended_outage = 0
        """The outage, counted by the breaker, in which the model has been loaded again."""
        self._silent_since: float | None = None
        self._missed = 0
        self._canary_took_s: float | None = None
        self._was_ready = True
        self._is_cold = False
        """Whether Triton came back, and not every instance has answered since."""
        self._woken = asyncio.Event()
        vitals.on_suspicion = self._woken.set

    async def run(self) -> None:
        """Until cancelled."""
        while self._vitals.warming_reason is not None:
            await self._warm()
            if self._vitals.warming_reason is not None:  # else a robot's request may be there, and suspect, at once
                await asyncio.sleep(TICK_S / 4)
        while True:
            await self._tick()
            await self._sleep()

    async def _sleep(self) -> None:
        """Until the next tick, or until something is suspect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._woken.wait()
        self._woken.clear()

    async def _warm(self) -> None:
        if not await self._triton.is_model_ready():
            await self._explain_unready()
            return
        if self._vitals.warming_reason is None or "canary" not in self._vitals.warming_reason:
            self._vitals.warming_reason = "running the canary"
        problem = await self._warm_up_problem()
        if problem is None:
            self._vitals.warming_reason = None
        else:
            self._vitals.warming_reason = self._vitals.failed_canary = problem
            await asyncio.sleep(WRONG_CANARY_PAUSE_S)

    async def _explain_unready(self) -> None:
        """A Triton that lives without our policy may know why; while it starts it does not live yet."""
        if self._why_unready is None or not await self._triton.is_live():
            return
        reason = await self._why_unready()
        if reason is not None:
            self._vitals.warming_reason = reason
            await asyncio.sleep(WRONG_CANARY_PAUSE_S)

    async def _tick(self) -> None:
        if self._vitals.breaker.is_open:
            await self._try_to_close()
        elif self._vitals.suspicion is not None:
            await self._judge_suspicion()
        elif self._vitals.now() - self._vitals.last_success_at > TICK_S:
            await self._take_pulse()

    async def _judge_suspicion(self) -> None:
        suspicion, self._vitals.suspicion = self._vitals.suspicion, None
        if self._canary is None:
            self._vitals.breaker.record_failure(suspicion or "suspect")
            return
        problem = await self._canary_problem()
        if problem is not None:
            self._vitals.breaker.open(problem)

    async def _take_pulse(self) -> None:
        if await self._triton.is_live():
            self._hears_triton()
            await self._run_idle_canary()
            return
        self._missed += 1
        self._misses_triton()
        if self._missed >= MISSED_PULSES:
            self._vitals.breaker.open("Triton does not answer")

    async def _run_idle_canary(self) -> None:
        vitals = self._vitals
        pause_s = max(IDLE_CANARY_S, (self._canary_took_s or 0.0) / IDLE_SHARE)
        if vitals.now() - max(vitals.last_success_at, vitals.last_attempt_at) < pause_s:
            return
        problem = await self._canary_problem()
        if problem is not None:
            log.warning("canary failed", extra={"reason": problem})
            vitals.breaker.open(problem)

    async def _try_to_close(self) -> None:
        """A Triton that has just become ready is probed at once; one that stays ready, when the probe is due."""
        is_ready = await self._triton.is_model_ready()
        came_back = is_ready and not self._was_ready
        self._was_ready = is_ready
        self._is_cold |= came_back
        if not is_ready and not await self._triton.is_live():
            self._misses_triton()
            return
        self._hears_triton()
        if not is_ready:
            return  # it is being loaded, however long that takes: no hang, and no reason to disturb other policies
        breaker = self._vitals.breaker
        if not came_back and breaker.probe_in_s > 0:
            return
        problem = await (self._warm_up_problem() if self._is_cold else self._canary_problem())
        if problem is None:
            log.info("the model answers again")
            self._is_cold = False
            breaker.close()
        else:
            breaker.probe_failed(problem)
            if problem == NO_ANSWER:
                self._mend_hung_model()

    def _mend_hung_model(self) -> None:
        """A live Triton with a model that never answers: loading it again helps, and once an outage is enough."""
        if self._mended_outage != self._vitals.breaker.opened_total:
            self._mended_outage = self._vitals.breaker.opened_total
            self._on_hung_model()

    async def _warm_up_problem(self) -> str | None:
        """The canary on every instance of every model, which take turns: its first run takes ten times the second."""
        counted = await self._triton.instances_of(self._models)
        if self._on_instances is not None:
            self._on_instances(counted)
        if self._canary is None:
            return None
        instances = max(counted.values(), default=1)
        for _ in range(instances if instances == 1 else TURNS * instances):
            problem = await self._canary_problem()
            if problem is not None:
                return problem
        return None

    async def _canary_problem(self) -> str | None:
        """None when the stored observation has its stored answer; otherwise what is wrong."""
        if self._canary is None:
            return None
        try:
            started = self._vitals.now()
            async with asyncio.timeout(self._canary_timeout_s):
                actions = await self._while_triton_lives(self._runner.check_canary(self._canary.inputs))
        except TimeoutError:
            return NO_ANSWER
        except TritonCallError as failure:
            return f"the canary failed: {failure.detail[:200]}"
        except ServiceError as exc:
            return f"the canary failed: {exc.message}"
        difference = max_abs(actions, self._canary.expected)
        if not difference <= self._canary.tolerance:  # so that a NaN is wrong, too
            return f"the canary's answer is off by {difference:.3g}; the model is not the one that was exported"
        self._vitals.record_success()
        self._canary_took_s = self._vitals.now() - started
        return None

    @property
    def _canary_timeout_s(self) -> float:
        """Before the first answer as long as any call may take: full-size policies take many seconds on a CPU."""
        took_s = self._canary_took_s
        return CALL_CAP_S if took_s is None else min(CALL_CAP_S, max(CANARY_TIMEOUT_S, 3 * took_s))

    async def _while_triton_lives(self, answer: Coroutine[Any, Any, T]) -> T:
        """A hang in the middle of a canary must not stay unnoticed until the canary's own time-out."""
        call = asyncio.ensure_future(answer)
        missed = 0
        try:
            while not (await asyncio.wait((call,), timeout=TICK_S))[0]:
                missed = 0 if await self._triton.is_live() else missed + 1
                if missed >= MISSED_PULSES:
                    raise TritonCallError("lost", "Triton does not answer")
            return call.result()
        finally:
            call.cancel()

    def _hears_triton(self) -> None:
        self._missed = 0
        self._silent_since = None

    def _misses_triton(self) -> None:
        now = self._vitals.now()
        if self._silent_since is None:
            self._silent_since = now
        if self._on_hang(now - self._silent_since):
            self._silent_since = None
