"""What the order of the queue and batches are worth, on a clock of its own: the promise of `make bench-fleet`.

The queue is the product's, the robots are the benchmark's, and the GPU is what Triton makes of the measured times: who
is there when a batch is over is in the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from reflex.errors import ServiceError
from reflex_bench.fleet.measured import MEASURED, ModelTimes
from reflex_bench.fleet.robots import Robot, Score, due_times, fleet
from reflex_bench.fleet.trial import most_robots
from reflex_frontend.policy.admission import Admission
from support.fakes import run_virtual

Clock = Callable[[], float]
SECONDS = 10.0
LONG_QUEUE = 256


@dataclass
class Gpu:
    """One model on Triton, with a queue of its own."""

    times: ModelTimes
    max_batch: int
    is_busy: bool = False
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def ask(self) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        self._begin()
        return answer

    def _begin(self) -> None:
        if self.is_busy or not self.waiting:
            return
        batch, self.waiting = self.waiting[: self.max_batch], self.waiting[self.max_batch :]
        self.is_busy = True
        asyncio.get_running_loop().call_later(self.times.whole_ms(len(batch)) / 1000, self._end, batch)

    def _end(self, batch: list[asyncio.Future[None]]) -> None:
        self.is_busy = False
        for answer in batch:
            answer.set_result(None)
        self._begin()


@dataclass
class Server:
    """Batches in the order of deadlines, or one queue without either."""

    now: Clock
    times: ModelTimes
    together: bool
    left: int = 25

    def __post_init__(self) -> None:
        batch = self.times.max_batch if self.together else 1
        self.gpu = Gpu(self.times, batch)
        self.admission = Admission("small", 2 * batch, 2 * batch if self.together else LONG_QUEUE, self.now)

    async def answer(self, deadline: float) -> None:
        await self.admission.enter(deadline if self.together else self.now() + 10)
        began = self.now()
        await self.gpu.ask()
        self.admission.leave(self.now() - began)

    async def ask(self, robot: Robot, score: Score) -> None:
        deadline = self.now() + robot.deadline_s
        try:
            await self.answer(deadline)
        except ServiceError:
            score.refused += 1
            return
        if self.now() <= deadline:
            score.kept += 1
        else:
            score.late += 1

    async def kept_share(self, count: int) -> float:
        score, began = Score(), self.now()

        async def live(robot: Robot, tasks: asyncio.TaskGroup) -> None:
            for due in due_times(robot, SECONDS):
                await asyncio.sleep(began + due - self.now())
                tasks.create_task(self.ask(robot, score))

        async with asyncio.TaskGroup() as tasks:
            for robot in fleet(count, self.left):
                tasks.create_task(live(robot, tasks))
        return score.kept_share


@pytest.mark.parametrize(("model", "left"), [("pi0", 10), ("pi0", 25), ("smolvla", 25)])
def test_batches_in_the_order_of_deadlines_serve_half_as_many_robots_again(model: str, left: int) -> None:
    def served(*, together: bool) -> int:
        return run_virtual(lambda now: most_robots(Server(now, MEASURED[model], together, left).kept_share, 80))

    ours, one_queue = served(together=True), served(together=False)
    assert ours >= 1.5 * one_queue > 0


def test_a_lone_robot_waits_for_nobody() -> None:
    async def main(now: Clock) -> None:
        times = MEASURED["pi0"]
        server = Server(now, times, together=True)
        for _ in range(5):
            began = now()
            await server.answer(began + 0.2)
            assert now() - began == pytest.approx(times.whole_ms(1) / 1000)
            await asyncio.sleep(0.1)

    run_virtual(main)
