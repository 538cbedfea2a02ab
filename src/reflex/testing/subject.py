"""What the rules of a contract look at, and how they wait for what may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

from reflex.connector import Connector

__all__ = ["Subject", "fail", "in_time", "run_beside"]

HANGS_S: Final = 30.0
"""A connector that needs longer for anything has hung."""
THREAD_S: Final = 5.0
"""Until a thread that was told to end has ended."""


@dataclass(frozen=True)
class Subject:
    """A connector's class, as its contract is tried on it."""

    make: Callable[[], Connector]
    make_failing: Callable[[], Connector | None]
    state_dim: int
    action_dim: int | None
    still_within: float
    hangs_s: float = HANGS_S

    @contextmanager
    def leaves_no_thread(self) -> Iterator[None]:
        """Those that run afterwards ran before."""
        before = set(threading.enumerate())
        yield
        until_s = time.monotonic() + THREAD_S
        while (left := set(threading.enumerate()) - before) and time.monotonic() < until_s:
            time.sleep(0.01)
        if left:
            names = ", ".join(sorted(thread.name for thread in left))
            fail(f"after stop its threads still run: {names}; end them in stop, and wait for them")


def fail(what: str) -> NoReturn:
    """The rule is broken."""
    raise AssertionError(f"the connector breaks its contract: {what}")


def in_time(call: Callable[[], object], what: str, limit_s: float) -> float:
    """Seconds that it took, from a thread of its own: one that hangs is told of instead of waited for."""
    raised: list[BaseException] = []
    took_s: list[float] = []

    def run() -> None:
        began_s = time.monotonic()
        try:
            call()
        except BaseException as exc:  # noqa: BLE001  # told by whoever waits
            raised.append(exc)
        took_s.append(time.monotonic() - began_s)

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    thread.join(limit_s)
    if not took_s:
        fail(f"{what} hangs: not over after {limit_s:g} s")
    if raised:
        if isinstance(raised[0], AssertionError):
            raise raised[0]
        raise AssertionError(f"the connector breaks its contract: {what} raises {raised[0]!r}") from raised[0]
    return took_s[0]


def run_beside(one: Callable[[], object], other: Callable[[], object], limit_s: float) -> None:
    """Both at once, each in a thread of its own; what either raises is raised."""
    failed: list[AssertionError] = []

    def first() -> None:
        try:
            in_time(one, "one of two threads", limit_s)
        except AssertionError as exc:
            failed.append(exc)

    thread = threading.Thread(target=first, name="beside", daemon=True)
    thread.start()
    try:
        in_time(other, "the other of two threads", limit_s)
    finally:
        thread.join(limit_s)
    if failed:
        raise failed[0]
