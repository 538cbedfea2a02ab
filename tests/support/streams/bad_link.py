"""A TCP proxy that is a bad network: each piece takes its time, some are lost and sent again, and it can be cut.

TCP hides a lost segment: what was in it, and all that follows, comes one retransmission later. That is what is done
here with every piece that is drawn, so no privilege and no kernel module is needed.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from support.streams.relay import Relay, relayed, reset_at_close

__all__ = ["BadLink", "bad_link"]

RETRANSMISSION_S: Final = 0.2
"""Linux' least (TCP_RTO_MIN)."""
Piece = tuple[float, bytes] | None


@dataclass
class BadLink(Relay):
    """`latency_s` each way, `loss` of the pieces a retransmission later."""

    latency_s: float
    loss: float
    draw: random.Random
    pieces: int = 0
    lost: int = 0
    cuts: int = 0

    def cut(self) -> None:
        """Reset every connection, in the middle of whatever is under way."""
        self.cuts += 1
        for sock in self.sockets:
            reset_at_close(sock)
        self.hang_up()

    def join(self, client: socket.socket, server: socket.socket) -> None:
        for source, sink in ((client, server), (server, client)):
            under_way: queue.SimpleQueue[Piece] = queue.SimpleQueue()
            self.carry(self._take, source, under_way)
            self.carry(self._hand_over, sink, under_way)

    def close(self) -> None:
        self.cut()
        super().close()

    def _take(self, source: socket.socket, under_way: queue.SimpleQueue[Piece]) -> None:
        arrives_s = 0.0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                is_lost = self.draw.random() < self.loss
                self.pieces, self.lost = self.pieces + 1, self.lost + is_lost
                delay_s = self.latency_s + (RETRANSMISSION_S if is_lost else 0.0)
                arrives_s = max(arrives_s, time.monotonic() + delay_s)
                under_way.put((arrives_s, data))
        under_way.put(None)

    def _hand_over(self, sink: socket.socket, under_way: queue.SimpleQueue[Piece]) -> None:
        with contextlib.suppress(OSError):
            while (piece := under_way.get()) is not None:
                time.sleep(max(0.0, piece[0] - time.monotonic()))
                sink.sendall(piece[1])
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def bad_link(target: int, *, latency_s: float, loss: float, seed: int) -> Iterator[BadLink]:
    draw = random.Random(seed)
    with relayed(lambda listener: BadLink(target, listener, latency_s, loss, draw)) as made:
        yield made
