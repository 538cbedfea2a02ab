"""What carries the bytes to a chain of servos: a line without time in it, and a pty, which pyserial opens."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from reflex_runner.loop.precedence import take_precedence
from support.servos.chain import Chain

__all__ = ["PtyBus", "WireLine", "pty_bus"]


class WireLine:
    """A line and a clock: answers come after `late_s`, and silence takes exactly as long as one waits for it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.late_s = 0.0
        self.chain = Chain(self.now)
        self.is_closed = False
        self._input: list[tuple[float, bytes]] = []

    def now(self) -> float:
        return self.now_s

    def sleep_until(self, moment: float) -> None:
        self.now_s = max(self.now_s, moment)

    def hear(self, data: bytes) -> None:
        """As if a servo had said so."""
        self._input.append((self.now_s + self.late_s, data))

    def write(self, data: bytes) -> None:
        for answer in self.chain.exchange(data):
            self.hear(answer)

    def read(self, within_s: float) -> bytes:
        first_s = min((due_s for due_s, _ in self._input), default=float("inf"))
        self.now_s = max(self.now_s, min(first_s, self.now_s + within_s))
        return b"".join(self._due())

    def drop_input(self) -> None:
        self._due()

    def close(self) -> None:
        self.is_closed = True

    def _due(self) -> list[bytes]:
        due = [data for due_s, data in self._input if due_s <= self.now_s]
        self._input = [later for later in self._input if later[0] > self.now_s]
        return due


class PtyBus:
    """`port` is a serial port for all that anybody can tell, at whose other end `chain` is."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._wake, self._wakes = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def pull(self) -> None:
        """The USB cable: the port is gone."""
        self._stop()
        for descriptor in (self._slave, self._master):
            with suppress(OSError):
                os.close(descriptor)

    def _stop(self) -> None:
        if self._thread.is_alive():
            os.write(self._wakes, b"x")
            self._thread.join()

    def _serve(self) -> None:
        take_precedence(below=-1)  # servos do not wait for a processor
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            for answer in self.chain.exchange(os.read(self._master, 4096)):
                if self.chain.faults.latency_s:
                    time.sleep(self.chain.faults.latency_s)
                os.write(self._master, answer)


@contextmanager
def pty_bus(chain: Chain | None = None) -> Iterator[PtyBus]:
    bus = PtyBus(Chain() if chain is None else chain)
    try:
        yield bus
    finally:
        bus.pull()
        for descriptor in (bus._wake, bus._wakes):
            os.close(descriptor)
