"""Sees that a model will never come up: its process has died, and Triton waits for it.

Triton's Python backend waits for the first word of a model's process (120 s here, and on a busy machine some need
many), without looking whether the process still lives; some die with a fault of their own before they said it. It does
so when it starts, and when it loads a further model, which it does not give up in three minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from reflex_frontend.embedded.child import Child
from reflex_frontend.embedded.cleanup import zombies_of_group

__all__ = ["DIED", "dead_before_serving", "unless_one_dies"]

DIED: Final = "the process of a model died as it came up"

LOOK_S: Final = 1.0
"""Between two looks. A process that Triton is about to collect is gone by the next one."""


async def dead_before_serving(child: Child) -> bool:
    """Wait until `child` serves or has ended (False), or a process of it stays dead and uncollected (True)."""
    return await _one_dies(child, lambda: not child.log.serving)


@contextlib.asynccontextmanager
async def unless_one_dies(child: Child) -> AsyncIterator[None]:
    """Ends what runs in it with `TimeoutError` once a process of `child` that died meanwhile stays uncollected."""
    before = await asyncio.to_thread(zombies_of_group, child.pid)
    try:
        async with asyncio.timeout(None) as allowed:
            watch = asyncio.create_task(_end_when_one_dies(child, before, allowed))
            try:
                yield
            finally:
                watch.cancel()
    except TimeoutError:
        raise TimeoutError(DIED) from None


async def _end_when_one_dies(child: Child, before: frozenset[int], allowed: asyncio.Timeout) -> None:
    if await _one_dies(child, lambda: True, before):
        allowed.reschedule(asyncio.get_running_loop().time())


async def _one_dies(child: Child, is_awaited: Callable[[], bool], before: frozenset[int] = frozenset()) -> bool:
    seen: frozenset[int] = frozenset()
    while child.is_running and is_awaited():
        dead = await asyncio.to_thread(zombies_of_group, child.pid) - before
        if dead & seen:
            return True
        seen = dead
        await asyncio.sleep(LOOK_S)
    return False
