"""Several threads that want the same at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from reflex.errors import ServiceError

__all__ = ["raced"]

T = TypeVar("T")


def raced(want: Callable[[], T], racers: int) -> tuple[list[T], list[str]]:
    """What those got who won, and with which codes the others were refused. Whatever else they meet is raised."""
    start = threading.Barrier(racers)

    def race() -> T | ServiceError:
        start.wait()
        try:
            return want()
        except ServiceError as refused:
            return refused

    with ThreadPoolExecutor(racers) as threads:
        ended = [each.result() for each in [threads.submit(race) for _ in range(racers)]]
    won = [each for each in ended if not isinstance(each, ServiceError)]
    return won, [each.code for each in ended if isinstance(each, ServiceError)]
