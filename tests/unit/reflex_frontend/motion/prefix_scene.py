"""The whole service with kept prefixes, over a Triton that runs its models together and one by one."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from PIL import Image

from reflex.policy_config import PolicyConfig
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.motion.prefixes import PrefixCache
from reflex_frontend.motion.rtc import Asked
from reflex_frontend.observation.request import parse_act
from support.fakes import act_service, run_virtual
from support.motion.staged import StagedTriton, staged_config, staged_policy, stages_of
from unit.reflex_frontend.act.act_scene import GOOD, Clock
from unit.reflex_frontend.motion.rtc_scene import session

__all__ = ["PIXELS", "ROOM", "Scene", "answers", "asked_in", "other_pixel", "play", "png"]

PIXELS = np.random.RandomState(1).randint(0, 256, (6, 8, 3), np.uint8)
ROOM = 1_000_000


def png(pixels: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def other_pixel(row: int = 5, column: int = 7, channel: int = 2) -> str:
    changed = PIXELS.copy()
    changed[row, column, channel] ^= 1
    return png(changed)


@dataclass
class Scene:
    """`act` asks; `ran` is how often the model as a whole, and each of its parts, has run since the last look."""

    service: ActService
    triton: StagedTriton
    now: Clock

    @property
    def prefixes(self) -> PrefixCache:
        assert self.service.prefixes is not None
        return self.service.prefixes

    async def act(self, session_id: str | None = None, **changes: Any) -> dict[str, Any]:
        exchange = Exchange.begin(self.now(), 10_000)
        exchange.session = None if session_id is None else session(session_id)
        fields = {**GOOD, "image_b64": png(PIXELS), "episode_id": "e", "seed": 7, **changes}
        body = orjson.dumps({name: value for name, value in fields.items() if value is not None})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, exchange))
        return answer

    async def hits(self, *changes: dict[str, Any]) -> list[bool]:
        return [(await self.act(**each))["cache_hit"] for each in changes]

    async def wait(self, seconds: float) -> None:
        """On virtual time."""
        await asyncio.sleep(seconds)

    def ran(self) -> dict[str, int]:
        ran = dict(self.triton.ran)
        self.triton.ran.clear()
        return ran

    def swap(self, **changes: Any) -> None:
        """Slot a serves another policy, on the same Triton."""
        slot = self.service.router.slots["a"]
        config = slot.loaded.policy.config.model_copy(update=changes)
        policy = dataclasses.replace(slot.loaded.policy, config=config, stages=stages_of(config))
        slot.loaded = dataclasses.replace(slot.loaded, policy=policy)


def play(
    scenario: Callable[[Scene], Coroutine[Any, Any, None]],
    config: PolicyConfig | None = None,
    *,
    max_bytes: int | None = ROOM,
) -> None:
    """`max_bytes` None: nothing is kept."""
    config = config or staged_config()
    triton = StagedTriton(config=config)

    async def main(now: Clock) -> None:
        service = act_service(triton, now, config=config, guarded=False)
        slot = service.router.slots["a"]
        slot.loaded = dataclasses.replace(slot.loaded, policy=staged_policy(slot.loaded.policy))
        prefixes = None if max_bytes is None else PrefixCache(now, max_bytes)
        await scenario(Scene(dataclasses.replace(service, prefixes=prefixes), triton, now))

    run_virtual(main)


def answers(asked: Sequence[dict[str, Any]], *, max_bytes: int | None) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = []

    async def scenario(scene: Scene) -> None:
        given.extend([await scene.act(**each) for each in asked])

    play(scenario, max_bytes=max_bytes)
    return given


def asked_in(episode: str, at: float = 0.0) -> Asked:
    """A request of the episode, as far as its memory is concerned."""
    return Asked(parse_act(orjson.dumps({**GOOD, "episode_id": episode})), None, at, at)
