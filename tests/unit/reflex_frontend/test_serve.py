"""A server that is stopped waits for what ends by itself."""

from __future__ import annotations

import asyncio
import time

from reflex_frontend.exchange.instance import Instance
from reflex_frontend.serve import _drain
from support.waiting import HANGS_S


def test_a_stopped_server_waits_until_its_streams_have_closed_themselves() -> None:
    """Otherwise a busy one would close them with another code than the documented one."""

    async def stopped() -> None:
        instance = Instance(time.monotonic, streams=1)
        draining = asyncio.create_task(_drain(instance, ()))
        done, _ = await asyncio.wait([draining], timeout=0.1)
        assert not done
        instance.streams = 0
        await asyncio.wait_for(draining, HANGS_S)

    asyncio.run(stopped())
