"""A stream over a link with latency, loss and cuts: each observation is accounted for, and nothing late is delivered.

`REFLEX_STREAM_OBSERVATIONS` is how many are sent at 50 Hz.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import pytest

import reflex
from reflex.errors import ReflexError, TransportError
from support.nonce_server import NonceServer, nonce_server
from support.streams.bad_link import BadLink, bad_link
from support.waiting import wait_until

pytestmark = pytest.mark.slow

OBSERVATIONS: Final = int(os.environ.get("REFLEX_STREAM_OBSERVATIONS", "60"))
CUTS: Final = 5
PERIOD_S: Final = 0.02
LATENCY_S: Final = 0.1
LOSS: Final = 0.05
DEADLINE_S: Final = 2.0
IMAGE: Final = np.zeros((64, 64, 3), np.uint8)


@dataclass
class Run:
    """What a robot saw of its stream."""

    stream: reflex.ActionStream
    chunks: list[dict[str, Any]] = field(default_factory=list)
    unsent: int = 0
    state_of: dict[int, float] = field(default_factory=dict)
    has_ended: threading.Event = field(default_factory=threading.Event)

    def take(self) -> None:
        while not self.has_ended.is_set():
            try:
                self.chunks.append(self.stream.recv_action(timeout=0.2))
            except ReflexError:
                self.has_ended.wait(0.01)  # of a connection that is gone it is told at once, again and again

    def send(self, number: float) -> None:
        try:
            seq = self.stream.send_observation(state=[number, 0.0, 0.0, 0.0, 0.0, 0.0], images=IMAGE)
            self.state_of[seq] = number
        except TransportError:
            self.unsent += 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("streams"), delay_ms=30) as running:
        yield running


def drive(run: Run, link: BadLink) -> None:
    """Sends at 50 Hz and cuts the link between two observations, then goes on until a chunk comes again."""
    cut_at = set(random.Random(1).sample(range(5, OBSERVATIONS), CUTS))
    due = time.monotonic()
    for number in range(OBSERVATIONS):
        due += PERIOD_S
        run.has_ended.wait(max(0.0, due - time.monotonic()))
        if number in cut_at:
            link.cut()
        run.send(float(number))
    before = len(run.chunks)

    def comes_again() -> bool:
        run.send(-1.0)
        return len(run.chunks) > before

    wait_until(comes_again, "chunks come again after the last cut")


def test_each_observation_over_a_bad_link_is_accounted_for_and_nothing_late_is_delivered(server: NonceServer) -> None:
    with (
        bad_link(server.port, latency_s=LATENCY_S, loss=LOSS, seed=7) as link,
        reflex.ActionStream(prompt="pick", url=link.url, deadline_s=DEADLINE_S) as stream,
    ):
        run = Run(stream)
        thread = threading.Thread(target=run.take)
        thread.start()
        try:
            drive(run, link)
            wait_until(lambda: stream._course.outstanding == 0, "every observation has left the stream")
            wait_until(lambda: len(run.chunks) == stream.counts.delivered, "every chunk was taken")
        finally:
            run.has_ended.set()
            thread.join()
        counts = asdict(stream.counts)

    assert link.cuts >= CUTS
    assert link.lost > 0
    print(f"{counts}; not sent {run.unsent}; of {link.pieces} pieces {link.lost} were lost")
    ended = counts["sent"] - counts["delivered"]
    assert ended == sum(counts[name] for name in ("superseded", "replaced", "stale", "late", "refused", "lost")), counts
    assert counts["reconnects"] >= 1
    assert counts["refused"] == 0, "nothing was wrong with any of them"
    seqs = [chunk["seq"] for chunk in run.chunks]
    assert seqs == sorted(set(seqs))
    assert all(chunk["age_ms"] < DEADLINE_S * 1000 for chunk in run.chunks), "nothing late is delivered"
    assert all(chunk["actions"][0][0] == run.state_of[chunk["seq"]] for chunk in run.chunks), "each its own answer"
