"""One fleet at one server for some seconds, and the largest fleet whose deadlines are kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reflex_bench.fleet.robots import KEPT_SHARE, Robot, Score, due_times
from reflex_bench.http_load import Answer, Asker

__all__ = ["Way", "drive", "latencies_in_turns", "most_robots"]

FINENESS: Final = 0.04
"""Two fleets that differ by less are one."""

RequestOf = Callable[[Robot, int], bytes]
IsRight = Callable[[Robot, Answer], bool]


@dataclass(frozen=True)
class Way:
    """How robots are served: by which server, and what it is told."""

    name: str
    port: int
    request: RequestOf
    """Of a robot and its deadline in milliseconds."""
    is_right: IsRight
    tells_deadlines: bool = True
    """Else every request names the longest deadline there is, and the queue knows no order but that of arrival."""
    line: asyncio.Lock | None = None
    """One request at a time, first come first served, before the server is asked at all."""


LONGEST_MS: Final = 10_000


@dataclass
class _Driven:
    """A robot on its own connection."""

    way: Way
    robot: Robot
    asker: Asker
    score: Score
    asking: asyncio.Task[None] | None = field(default=None)

    async def run(self, began: float, seconds: float, seed: int) -> None:
        for due in due_times(self.robot, seconds, seed):
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            self.score.woke(time.perf_counter() - began - due)
            if self.asking is not None and not self.asking.done():
                self.score.late += 1  # it waits for the chunk before still
                continue
            self.asking = asyncio.create_task(self._ask())
        if self.asking is not None:
            await self.asking

    async def _ask(self) -> None:
        asked_at = time.perf_counter()
        deadline_ms = int(1000 * self.robot.deadline_s) if self.way.tells_deadlines else LONGEST_MS
        try:
            async with self.way.line or contextlib.nullcontext():
                answer = await self.asker.send(self.way.request(self.robot, deadline_ms))
        except OSError:
            self.score.wrong += 1
            return
        self._count(answer, time.perf_counter() - asked_at)

    def _count(self, answer: Answer, took_s: float) -> None:
        if answer.status == 200 and not self.way.is_right(self.robot, answer):
            self.score.mixed_up += 1
        elif answer.status == 503 and b"queue_full" in answer.body:
            self.score.refused += 1
        elif answer.status == 504 or took_s > self.robot.deadline_s:
            self.score.late += 1
        elif answer.status == 200:
            self.score.kept += 1
        else:
            self.score.wrong += 1


async def drive(way: Way, robots: Sequence[Robot], seconds: float, seed: int = 0) -> Score:
    """Let the robots ask for so long, and wait until each has been answered."""
    score = Score()
    everyone = [_Driven(way, robot, await Asker.connected(way.port), score) for robot in robots]
    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as tasks:
            for driven in everyone:
                tasks.create_task(driven.run(began, seconds, seed))
    finally:
        for driven in everyone:
            driven.asker.close()
    return score


async def latencies_in_turns(ways: Sequence[Way], robot: Robot, rounds: int) -> list[list[float]]:
    """Seconds of a lone robot's requests, each way asked once in every round."""
    askers = [await Asker.connected(way.port) for way in ways]
    took: list[list[float]] = [[] for _ in ways]
    turns = list(zip(ways, askers, took, strict=True))
    for _ in range(rounds):
        turns.reverse()  # neither is always the first
        for way, asker, some in turns:
            answer = await asker.send(way.request(robot, LONGEST_MS))
            if not way.is_right(robot, answer):
                raise RuntimeError(f"{way.name} answered {answer.status}: {answer.body[:200]!r}")
            some.append(answer.latency_s)
    for asker in askers:
        asker.close()
    return took


async def most_robots(kept_share: Callable[[int], Awaitable[float]], most: int) -> int:
    """By bisection: the largest fleet of at most `most` that keeps 98 % of its deadlines; 0 when one is too many."""
    served, too_many = 0, most + 1
    while too_many - served > max(1, round(FINENESS * served)):
        count = (served + too_many) // 2
        if await kept_share(count) >= KEPT_SHARE:
            served = count
        else:
            too_many = count
    return served
