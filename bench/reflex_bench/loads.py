"""The shapes of load: one client, several in closed loop, and an open loop that does not wait for answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from reflex_bench.http_load import Answer, connect

__all__ = ["Call", "OpenLoop", "Row", "closed_loop", "open_loop", "percentile", "sequential"]

Call = Callable[[], Awaitable[object]]


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0..1) of the values lie; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


async def sequential(call: Call, count: int) -> list[float]:
    """Latencies in seconds of `count` calls, one after the other."""
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        latencies.append(time.perf_counter() - started)
    return latencies


async def closed_loop(calls: list[Call], duration_s: float) -> tuple[float, list[float]]:
    """Every client calls again as soon as it is answered. Returns calls per second and latencies in seconds."""
    end = time.perf_counter() + duration_s

    async def client(call: Call) -> list[float]:
        latencies = []
        while (started := time.perf_counter()) < end:
            await call()
            latencies.append(time.perf_counter() - started)
        return latencies

    started = time.perf_counter()
    per_client = await asyncio.gather(*(client(call) for call in calls))
    latencies = [latency for some in per_client for latency in some]
    return len(latencies) / (time.perf_counter() - started), latencies


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. `ok` is None where docs/benchmarks.md sets no target."""

    what: str
    value: float
    unit: str
    target: str = ""
    ok: bool | None = None


@dataclass
class OpenLoop:
    """What became of requests sent at a fixed rate. Latencies in seconds."""

    offered_per_s: float
    duration_s: float
    succeeded: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    other: dict[int, int] = field(default_factory=dict)
    unsent: int = 0
    """The load client itself was late: no free connection."""

    @property
    def goodput_per_s(self) -> float:
        return len(self.succeeded) / self.duration_s

    def count(self, answer: Answer) -> None:
        if answer.status == 200:
            self.succeeded.append(answer.latency_s)
        elif answer.status == 503 and b"\r\nretry-after: " in answer.head:
            self.refused.append(answer.latency_s)
        else:
            self.other[answer.status] = self.other.get(answer.status, 0) + 1


async def open_loop(port: int, request: bytes, rate_per_s: float, duration_s: float, connections: int) -> OpenLoop:
    """Send `rate_per_s` requests a second whatever comes back, over at most `connections` connections.

    No task and no future per request: what the load costs is taken from the server, where both share the cores.
    """
    result = OpenLoop(rate_per_s, duration_s)
    everyone = [await connect(port) for _ in range(connections)]
    free = list(everyone)
    opening: list[asyncio.Task[None]] = []

    async def open_one() -> None:
        with contextlib.suppress(OSError):  # there is one less, and requests are not sent for it
            everyone.append(await connect(port))
            free.append(everyone[-1])

    def send_one() -> None:
        while free and not free[-1].is_open:  # the server closes silent ones
            free.pop()
            opening.append(asyncio.create_task(open_one()))
        if not free:
            result.unsent += 1
            return
        connection = free.pop()

        def on_answer(answer: Answer | None) -> None:
            if answer is None:
                result.other[0] = result.other.get(0, 0) + 1
            else:
                result.count(answer)
                free.append(connection)

        connection.post(request, on_answer)

    started, sent = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < duration_s:
        due = int(elapsed * rate_per_s)
        for _ in range(due - sent):
            send_one()
        sent = due
        await asyncio.sleep(0.001)
    result.duration_s = time.perf_counter() - started
    await asyncio.sleep(2.0)  # the last answers
    await asyncio.gather(*opening)
    for connection in everyone:
        connection.close()
    return result
