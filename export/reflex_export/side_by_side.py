"""Two pieces of work at once, which end together: the first failure, or Ctrl-C, stops the other one too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from reflex.interruption import undisturbed

__all__ = ["StopAsked", "side_by_side"]

T = TypeVar("T")

_AT_ONCE: Final = 2
"""Each keeps more than one processor busy."""


class StopAsked(Exception):  # noqa: N818 - it is no error, and nobody outside sees it
    """Raised inside work whose result nobody waits for any more."""


def side_by_side(works: Sequence[Callable[[Callable[[], None]], T]]) -> list[T]:
    """What each returns, in order. Each calls the function that it is given now and then, which may raise."""
    is_over = threading.Event()

    def go_on() -> None:
        if is_over.is_set():
            raise StopAsked

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="models") as workers:
        try:
            # An interrupt while a thread starts would leave it at work, and nobody waiting for it.
            with undisturbed():
                futures = [workers.submit(work, go_on) for work in works]
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in ended:
                future.result()
        except BaseException:
            is_over.set()
            raise
    return [future.result() for future in futures]
