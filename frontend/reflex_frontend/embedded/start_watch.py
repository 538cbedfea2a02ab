"""Sees that a Triton will never come up: the process of one of its models has died, and Triton waits for it.

Triton's Python backend waits for the first word of a model's process (120 s here, and on a busy machine some need
many), without looking whether the process still lives; some die with a fault of their own before they said it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from reflex_frontend.embedded.child import Child
from reflex_frontend.embedded.cleanup import zombies_of_group

__all__ = ["dead_before_serving"]

LOOK_S: Final = 1.0
"""Between two looks. A process that Triton is about to collect is gone by the next one."""


async def dead_before_serving(child: Child) -> bool:
    """Wait until `child` serves or has ended (False), or a process of it stays dead and uncollected (True)."""
    seen: frozenset[int] = frozenset()
    while child.is_running and not child.log.serving:
        dead = await asyncio.to_thread(zombies_of_group, child.pid)
        if dead & seen:
            return True
        seen = dead
        await asyncio.sleep(LOOK_S)
    return False
