"""Work that may never end, like a read from a network mount whose server is away, which nothing interrupts.

So it is done by a thread of its own, which is left behind if need be: neither the event loop nor the end of the process
waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["OneAtATime", "in_its_own_thread"]

T = TypeVar("T")


def in_its_own_thread(work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
    """What `work` gives; whoever waits no longer leaves the thread behind."""
    return asyncio.wrap_future(_begun(work, arguments))


class OneAtATime:
    """Such threads, never two at once: of work that hangs there is one, however often more is asked for."""

    def __init__(self) -> None:
        self._last: Future[Any] | None = None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What `work` gives, which begins when what was asked for before has ended."""
        while self._last is not None and not self._last.done():
            with contextlib.suppress(Exception):  # for whoever asked for that
                await asyncio.wrap_future(self._last)
        last: Future[T] = _begun(work, arguments)
        self._last = last
        return await asyncio.wrap_future(last)


def _begun(work: Callable[..., T], arguments: tuple[object, ...]) -> Future[T]:
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # it ends with the thread, not with the patience of who waits

    def go() -> None:
        try:
            result = work(*arguments)
        except Exception as exc:  # noqa: BLE001 - for whoever waits for the answer
            answer.set_exception(exc)
        else:
            answer.set_result(result)

    threading.Thread(target=go, name=f"{getattr(work, '__name__', 'work')} alone", daemon=True).start()
    return answer
