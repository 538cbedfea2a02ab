"""The two ways to serve a fleet, measured against each other."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from reflex_bench.fleet.asking import asking_of
from reflex_bench.fleet.measured import ModelTimes
from reflex_bench.fleet.report import Report, Served
from reflex_bench.fleet.robots import KEPT_SHARE, LEFT, RATES_HZ, Robot, Score, asks_per_s, fleet
from reflex_bench.fleet.trial import Way, drive, latencies_in_turns, most_robots
from reflex_bench.http_load import connect, http_request

__all__ = ["ONE_QUEUE", "TOGETHER", "Plan", "measure", "way_of"]

TOGETHER: Final = "earliest deadline first, batches"
ONE_QUEUE: Final = "one queue without batching"
TRIES: Final = 3
RECOVERS_S: Final = 30.0
LONE: Final = Robot(0, RATES_HZ[0])


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often."""

    seconds: float
    """Of one trial."""
    rounds: int
    """Of a lone robot's requests."""
    most: int
    """Robots that are tried."""
    left: int = LEFT
    """Actions that a robot has when it asks."""
    patient_s: float = math.inf
    """For each way: nothing is tried again after it."""

    def bounded_by(self, times: ModelTimes | None) -> Plan:
        """No more robots than a GPU with these times could ever serve."""
        if times is None:
            return self
        most = int(times.most_per_s(times.max_batch) / asks_per_s(fleet(len(RATES_HZ), self.left)) * len(RATES_HZ)) + 1
        return replace(self, most=most)


def way_of(name: str, port: int, *, has_nonce: bool = False, in_line: bool = False) -> Way:
    """A server as robots ask it; one queue is told no deadlines, and `in_line` lets one request at a time through."""
    asking = asking_of(port, has_nonce=has_nonce)
    line = asyncio.Lock() if in_line else None
    return Way(name, port, asking.request, asking.is_right, tells_deadlines=name == TOGETHER, line=line)


async def measure(ways: Sequence[Way], plan: Plan, report: Report, *, compares_lone: bool) -> None:
    """Fill the report in, step by step, so that an interrupted one holds what was measured."""
    if compares_lone:
        await _compare_lone(ways, plan, report)
    for way in ways:
        report.served[way.name] = await _served(way, plan)


async def _compare_lone(ways: Sequence[Way], plan: Plan, report: Report) -> None:
    """More rounds are added to the first while a target is missed: on a busy machine a median takes many."""
    await latencies_in_turns(ways, LONE, 3)  # warm
    took: list[list[float]] = [[] for _ in ways]
    for _ in range(TRIES):
        more = await latencies_in_turns(ways, LONE, plan.rounds)
        took = [[*some, *others] for some, others in zip(took, more, strict=True)]
        report.lone_p50_ms = {way.name: 1000 * median(some) for way, some in zip(ways, took, strict=True)}
        if not report.missed():
            break


async def _served(way: Way, plan: Plan) -> Served:
    found = Served(0, 0.0, {})
    patient_until = time.monotonic() + plan.patient_s

    async def kept_share(count: int) -> float:
        found.trials[count] = score = await _tried(way, count, plan, patient_until)
        return score.kept_share

    found.robots = await most_robots(kept_share, plan.most)
    found.asks_per_s = asks_per_s(fleet(found.robots, plan.left))
    return found


async def _tried(way: Way, count: int, plan: Plan, patient_until: float) -> Score:
    """Again, and once more, while the machine is busy with other things: then the best of them.

    What was mixed up in any of them counts.
    """
    tries: list[Score] = []
    while len(tries) < TRIES and (not tries or tries[-1].is_disturbed):
        await _recovered(way.port)
        score = await drive(way, fleet(count, plan.left), plan.seconds, seed=len(tries))
        tries.append(score)
        disturbed = ", disturbed by other programs" if score.is_disturbed else ""
        told = f"{way.name}: {count} robots, {score.kept_share:.1%} of {score.asked} kept{disturbed}"
        print(told, file=sys.stderr, flush=True)
        if score.kept_share >= KEPT_SHARE or time.monotonic() > patient_until:
            break
    best = max(tries, key=lambda score: score.kept_share)
    return replace(best, mixed_up=sum(score.mixed_up for score in tries))


async def _recovered(port: int) -> None:
    """Once the server would be sent robots again, after whatever stood still."""
    connection, gives_up_at = await connect(port), time.monotonic() + RECOVERS_S
    while (await connection.send(http_request("GET", "/health"))).status != 200:
        if time.monotonic() > gives_up_at:
            raise RuntimeError(f"the server on port {port} is not ready: GET /health there says why")
        await asyncio.sleep(0.2)
    connection.close()
