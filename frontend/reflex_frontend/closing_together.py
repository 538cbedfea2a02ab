"""Several things that each take their time to end, ended at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

__all__ = ["closing_together"]

A = TypeVar("A")
B = TypeVar("B")


@contextlib.asynccontextmanager
async def closing_together(
    first: AbstractAsyncContextManager[A], second: AbstractAsyncContextManager[B]
) -> AsyncIterator[tuple[A, B]]:
    """Both entered in order, and left at once: a server that stops has ten seconds for everything.

    What goes wrong inside is not shown to them; it goes on to the caller when both have ended.
    """
    async with contextlib.AsyncExitStack() as unless_both:
        a = await unless_both.enter_async_context(first)
        b = await second.__aenter__()
        unless_both.pop_all()
    try:
        yield a, b
    finally:
        endings = await asyncio.gather(
            first.__aexit__(None, None, None), second.__aexit__(None, None, None), return_exceptions=True
        )
        for ending in endings:
            if isinstance(ending, BaseException):
                raise ending
