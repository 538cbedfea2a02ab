"""Sees that a model will never come up: its process has died, and Triton waits for it.

Triton's Python backend waits for the first word of a model's process (120 s here, and on a busy machine some need
many), without looking whether the process still lives; some die with a fault of their own before they said it. It does
so when it starts, and when it loads a further model, which it does not give up in seven minutes. Whoever asks it for
that model again meanwhile waits with it. Rarely, a start comes to a standstill though
all live; nor does Triton give that up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

from reflex_frontend.embedded.child import Child
from reflex_frontend.embedded.cleanup import idle_ticks_of_group, zombies_of_group

__all__ = [
    "DIED",
    "IN_VAIN",
    "STILL",
    "dead_before_serving",
    "still_before_serving",
    "unless_one_dies",
    "waits_in_vain",
]

DIED: Final = "the process of a model died as it came up"
STILL: Final = "the start came to a standstill"

IN_VAIN: Final = (
    "a process of it died as it came up, and Triton waits for it in vain; export the policy under another --name, or "
    "start the server again"
)

LOOK_S: Final = 1.0
"""Between two looks. A process that Triton is about to collect is gone by the next one."""
STILL_LOOKS: Final = 45
"""With next to no CPU time in all. Whatever loads uses some each second, on a busy machine each few."""
BREATH_TICKS: Final = 20
"""Hundredths of a second: whoever only waits looks now and then whether the others live."""


async def dead_before_serving(child: Child) -> bool:
    """Wait until `child` serves or has ended (False), or a process of it stays dead and uncollected (True)."""
    return bool(await _who_dies(child, lambda: not child.log.serving))


async def waits_in_vain(child: Child, models: Collection[str]) -> bool:
    """Whether a process of one of `models` died in a load that Triton has not given up."""
    dead = await asyncio.to_thread(zombies_of_group, child.pid)
    return any(child.died_loading[pid] & set(models) for pid in dead & child.died_loading.keys())


async def still_before_serving(child: Child) -> bool:
    """Wait until `child` serves or has ended (False), or nothing of it has computed or read for long (True)."""
    before, looks = 0, 0
    while child.is_running and not child.log.serving:
        now = await asyncio.to_thread(idle_ticks_of_group, child.pid)
        if now is None or now - before > BREATH_TICKS:
            before, looks = now or 0, 0
        looks += 1
        if looks > STILL_LOOKS:
            return True
        await asyncio.sleep(LOOK_S)
    return False


@contextlib.asynccontextmanager
async def unless_one_dies(child: Child, models: Collection[str]) -> AsyncIterator[None]:
    """Ends a load of `models` with `TimeoutError` once a process of `child` that died meanwhile stays uncollected."""
    before = await asyncio.to_thread(zombies_of_group, child.pid)
    try:
        async with asyncio.timeout(None) as allowed:
            watch = asyncio.create_task(_end_when_one_dies(child, before, models, allowed))
            try:
                yield
            finally:
                watch.cancel()
    except TimeoutError:
        raise TimeoutError(DIED) from None


async def _end_when_one_dies(
    child: Child, before: frozenset[int], models: Collection[str], allowed: asyncio.Timeout
) -> None:
    dead = await _who_dies(child, lambda: True, before)
    if dead:
        child.died_loading |= dict.fromkeys(dead, frozenset(models))
        allowed.reschedule(asyncio.get_running_loop().time())


async def _who_dies(
    child: Child, is_awaited: Callable[[], bool], before: frozenset[int] = frozenset()
) -> frozenset[int]:
    seen: frozenset[int] = frozenset()
    while child.is_running and is_awaited():
        dead = await asyncio.to_thread(zombies_of_group, child.pid) - before
        if dead & seen:
            return dead & seen
        seen = dead
        await asyncio.sleep(LOOK_S)
    return frozenset()
