from __future__ import annotations

import asyncio
import threading

import pytest

from reflex_frontend.embedded.own_thread import OneAtATime, in_its_own_thread
from support.waiting import HANGS_S, eventually


def _refused() -> None:
    raise ValueError("no")


def test_what_the_work_gives_or_raises_is_what_whoever_waits_gets() -> None:
    async def asked() -> None:
        one = OneAtATime()
        assert await in_its_own_thread(divmod, 7, 3) == (2, 1)
        assert await one.run(divmod, 7, 3) == (2, 1)
        for refused in (in_its_own_thread(_refused), one.run(_refused)):
            with pytest.raises(ValueError, match="no"):
                await refused
        assert await one.run(int, "1") == 1

    asyncio.run(asked())


def test_work_that_hangs_is_one_thread_and_whoever_waits_can_be_stopped() -> None:
    released, begun = threading.Event(), []

    def hang(name: str) -> str:
        begun.append((name, threading.current_thread().daemon))
        released.wait(HANGS_S)
        return name

    async def asked() -> None:
        one = OneAtATime()
        first = asyncio.create_task(one.run(hang, "first"))
        await eventually(lambda: begun, "it has begun")
        second = asyncio.create_task(one.run(hang, "second"))
        third = asyncio.create_task(one.run(hang, "third"))
        first.cancel()
        second.cancel()
        await asyncio.wait((first, second), timeout=HANGS_S)
        assert (first.cancelled(), second.cancelled(), begun) == (True, True, [("first", True)])
        released.set()
        assert await third == "third"
        assert begun == [("first", True), ("third", True)]

    asyncio.run(asked())
