"""The whole service over a Triton that does as it is told, and a body that it takes."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from PIL import Image

from reflex.errors import ServiceError
from reflex.policy_config import PolicyConfig
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.triton.gateway import Outputs
from support.fakes import FakeTriton, act_service, outputs, run_virtual

__all__ = ["GOOD", "Clock", "Frontend", "after", "image", "serve"]

Clock = Callable[[], float]


def image(kind: str = "JPEG") -> str:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 30, 30)).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


GOOD: dict[str, Any] = {"instruction": "pick up the red cup", "state": [0.1] * 6, "image_b64": image()}


@dataclass
class Frontend:
    """The whole service over one fake."""

    service: ActService
    triton: FakeTriton
    now: Clock

    @property
    def loaded(self) -> LoadedPolicy:
        return self.service.router.first.loaded

    async def act(self, deadline_ms: float = 1000, **changes: Any) -> dict[str, Any]:
        body = orjson.dumps({**GOOD, **changes})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, Exchange.begin(self.now(), deadline_ms)))
        return answer

    async def fails(self, kind: type[ServiceError], deadline_ms: float = 1000, **changes: Any) -> ServiceError:
        with pytest.raises(kind) as caught:
            await self.act(deadline_ms, **changes)
        return caught.value


def serve(
    scenario: Callable[[Frontend], Coroutine[Any, Any, None]],
    triton: FakeTriton | None = None,
    *,
    guarded: bool = True,
    config: PolicyConfig | None = None,
) -> None:
    triton = triton or FakeTriton()

    async def main(now: Clock) -> None:
        service = act_service(triton, now, guarded=guarded, config=config)
        await scenario(Frontend(service, triton, now))
        await service.router.first.loaded.runner.drain()
        admission = service.router.first.loaded.admission
        assert (admission.in_flight, admission.waiting) == (0, 0), "a place was lost"

    run_virtual(main)


def after(seconds: float, result: Outputs | Exception | None = None) -> Callable[[], Coroutine[Any, Any, Outputs]]:
    async def answer() -> Outputs:
        await asyncio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        return result or outputs()

    return answer
