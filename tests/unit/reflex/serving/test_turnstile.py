"""Pipelined requests begin one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reflex.serving.turnstile import PAUSE_S, Turnstile
from support.fakes import run_virtual


def test_those_who_wait_come_one_at_a_time_in_their_order_with_a_pause_before_each() -> None:
    came: list[tuple[str, float]] = []

    async def main(clock: Callable[[], float]) -> None:
        turnstile, began = Turnstile(), clock()

        def note(name: str) -> None:
            came.append((name, round((clock() - began) / PAUSE_S)))
            if len(came) < 5:
                turnstile.wait(lambda: note(name))

        for name in ("a", "b"):
            turnstile.wait(lambda name=name: note(name))  # type: ignore[misc]
        await asyncio.sleep(1)
        turnstile.wait(lambda: note("late"))
        await asyncio.sleep(1)

    run_virtual(main)
    assert came[:6] == [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5), ("b", 6)]
    assert came[6:] == [("late", round(1 / PAUSE_S) + 1)]


def test_one_that_fails_holds_up_nobody_behind_it() -> None:
    came: list[str] = []

    def fail() -> None:
        raise OSError("its connection is gone")

    async def main(_clock: Callable[[], float]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: came.append(str(context["exception"])))
        turnstile = Turnstile()
        for go_on in (fail, lambda: came.append("behind it")):
            turnstile.wait(go_on)
        await asyncio.sleep(1)

    run_virtual(main)
    assert came == ["its connection is gone", "behind it"]
