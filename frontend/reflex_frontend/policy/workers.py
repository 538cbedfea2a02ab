"""Threads for what takes longer than a millisecond, and waiting for them no longer than a request may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from reflex.errors import service_error

__all__ = ["Workers", "decode_threads"]

DECODE_THREADS: Final = 2
START_S: Final = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """Runs functions off the event loop. `now` is the clock of every deadline, monotonic seconds."""

    executor: Executor
    now: Callable[[], float]

    async def run(self, deadline: float, function: Callable[..., T], *arguments: object) -> T:
        """`function(*arguments)` in a thread; `DeadlineExceededError` at `deadline`, and its result is then dropped."""
        return await self.until(
            deadline, asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)
        )

    async def until(self, deadline: float, future: asyncio.Future[T]) -> T:
        """The future's result; `ServiceError` at `deadline`, or when whoever made the result went away."""
        try:
            async with asyncio.timeout(deadline - self.now()):
                return await future
        except TimeoutError:
            raise service_error("deadline_exceeded", "the deadline passed before the model could run") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            # Not we but the one whose answer we waited for went away; this client may try again.
            if future.cancelled() and not (task and task.cancelling()):
                raise service_error("inference_failed", "the first copy of this request was abandoned") from None
            raise


def decode_threads() -> ThreadPoolExecutor:
    """All of its threads from the start, so that a server's threads are counted once and stay as many."""
    executor = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
    everyone_is_here = threading.Barrier(DECODE_THREADS)
    for _ in range(DECODE_THREADS):
        executor.submit(everyone_is_here.wait, START_S)
    return executor
