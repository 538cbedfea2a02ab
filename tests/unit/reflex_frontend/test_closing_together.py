"""Two endings take as long as the longer one, and none is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from reflex_frontend.closing_together import closing_together
from support.fakes import run_virtual

Clock = Callable[[], float]


@contextlib.asynccontextmanager
async def slow_to_end(seconds: float, log: list[str], name: str) -> AsyncIterator[str]:
    log.append(f"{name} began")
    try:
        yield name
    finally:
        await asyncio.sleep(seconds)
        log.append(f"{name} ended")


@contextlib.asynccontextmanager
async def refused() -> AsyncIterator[str]:
    raise ValueError("cannot begin")
    yield ""


def test_both_are_entered_in_order_and_ended_at_once() -> None:
    async def main(now: Clock) -> None:
        log: list[str] = []
        async with closing_together(slow_to_end(2, log, "a"), slow_to_end(3, log, "b")) as names:
            assert (names, log) == (("a", "b"), ["a began", "b began"])
            started = now()
        assert now() - started == pytest.approx(3)
        assert log[2:] == ["a ended", "b ended"]

    run_virtual(main)


def test_what_went_wrong_inside_goes_on_after_both_have_ended() -> None:
    async def main(_now: Clock) -> None:
        log: list[str] = []
        with pytest.raises(KeyError):
            async with closing_together(slow_to_end(1, log, "a"), slow_to_end(1, log, "b")):
                raise KeyError
        assert log[2:] == ["a ended", "b ended"]

    run_virtual(main)


def test_the_first_ends_when_the_second_cannot_begin() -> None:
    async def main(_now: Clock) -> None:
        log: list[str] = []
        with pytest.raises(ValueError, match="cannot begin"):
            async with closing_together(slow_to_end(1, log, "a"), refused()):
                pytest.fail("entered")
        assert log == ["a began", "a ended"]

    run_virtual(main)
