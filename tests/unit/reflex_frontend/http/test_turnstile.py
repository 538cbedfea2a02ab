"""Pipelined requests begin one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reflex_frontend.http.turnstile import PAUSE_S, Turnstile
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
