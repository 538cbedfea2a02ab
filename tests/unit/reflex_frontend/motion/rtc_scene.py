"""The whole service with real-time chunking over a Triton that plans another chunk at each call."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from reflex.policy_config import PolicyConfig
from reflex.signed.session_credential import Claims
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.motion.rtc import RealTimeChunking
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor
from support.fakes import act_service, run_virtual
from support.motion.continuing import NOISE_DIM, PlanningTriton, continuing_config, guidance_of
from unit.reflex_frontend.act.act_scene import GOOD, Clock

__all__ = ["CONTROL_HZ", "TAKES_S", "Scene", "padded", "play", "session"]

TAKES_S: Final = 0.03
CONTROL_HZ: Final = 20.0
"""Of the franka arm."""
Array = npt.NDArray[np.float32]


class SlowPlanning(PlanningTriton):
    """Takes its time."""

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        await asyncio.sleep(TAKES_S)
        return await super().infer(inputs, metadata)


@dataclass
class Scene:
    """`act` asks, `given` is what the model got the last time."""

    service: ActService
    triton: PlanningTriton
    now: Clock

    @property
    def rtc(self) -> RealTimeChunking:
        assert self.service.rtc is not None
        return self.service.rtc

    @property
    def config(self) -> PolicyConfig:
        return self.service.router.first.loaded.policy.config

    @property
    def plans(self) -> list[Array]:
        return self.triton.plans

    @property
    def given(self) -> tuple[Array, Array, float]:
        return guidance_of(self.triton.calls[-1])

    async def act(self, claims: Claims | None = None, upload_s: float = 0.0, **changes: Any) -> dict[str, Any]:
        """`upload_s` is how long ago its first byte came."""
        exchange = Exchange.begin(self.now() - upload_s, 10_000)
        exchange.session = claims
        body = orjson.dumps({**GOOD, **changes})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, exchange))
        return answer

    def swap(self, config: PolicyConfig) -> None:
        """Slot a serves another policy, on the same Triton."""
        slot = self.service.router.slots["a"]
        policy = dataclasses.replace(slot.loaded.policy, config=config)
        slot.loaded = dataclasses.replace(slot.loaded, policy=policy)


def session(session_id: str) -> Claims:
    return Claims(
        session_id=session_id,
        organisation_id="org",
        robot_id=None,
        deployment_id=None,
        model_hash="sha256:" + "ab" * 32,
        model_version="small@1",
        mode="dry_run",
        calibration_id=None,
        limits_hash=None,
        issued_at_ms=0,
        expires_at_ms=1,
    )


def padded(rest: Array, horizon: int) -> Array:
    """As the model takes it."""
    whole = np.zeros((horizon, NOISE_DIM), np.float32)
    whole[: len(rest), : rest.shape[1]] = rest
    return whole


def play(
    scenario: Callable[[Scene], Coroutine[Any, Any, None]], config: PolicyConfig | None = None, **options: Any
) -> None:
    config = config or continuing_config(horizon=20)
    triton = SlowPlanning(horizon=config.horizon)

    async def main(now: Clock) -> None:
        service = act_service(triton, now, config=config, guarded=False)
        service = dataclasses.replace(service, rtc=RealTimeChunking(now, **options))
        await scenario(Scene(service, triton, now))

    run_virtual(main)
