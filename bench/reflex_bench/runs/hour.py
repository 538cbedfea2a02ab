"""`make runner-hour`: an hour of a robot's run, on a clock that goes faster: memory, descriptors and threads stay flat.

    python -m reflex_bench.runs.hour --periods 180000

A simulated arm is run at 50 Hz by a server of policies over HTTP, recorded as JSON lines and shown on the live page,
which somebody looks at. Prints a table and exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import psutil

from reflex.connector import ActionChunk, CameraFrame, Observation
from reflex.embodiments import StopLadder, load_embodiment
from reflex_bench.runs.still_policy import chunk_server
from reflex_runner.loop.run_session import Safety, run_session
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.page.live_page import LivePage
from reflex_runner.page.live_view import LiveView
from reflex_runner.recording.facts import RunFacts
from reflex_runner.recording.recorder import Recorder
from reflex_runner.simulation.axes import EMBODIMENT
from reflex_runner.simulation.world import World
from reflex_runner.tick import DatedChunk, Event, Tick
from reflex_runner.transports.build import build_transport

__all__ = ["Course", "Reading", "hour", "main"]

HZ: Final = 50.0
PERIODS: Final = 180_000
"""An hour."""
FASTER: Final = 8.0
READINGS: Final = 20
WARM_UP: Final = 5
"""Readings before the one to which the others are compared: caches fill, and the recorder's queue finds its length."""
MOST_GROWTH_MB: Final = 8.0
MOST_DRIFT: Final = 2
"""Of descriptors and threads: a connection of somebody who looks may be closing while they are counted."""
PICTURE_PX: Final = 64
PICTURE_EVERY: Final = 10
"""Observations: 36,000 files in an hour, where each of them would be ten times as many."""
PATIENT: Final = Safety(hold_after_ms=20_000, stop_after_ms=50_000, begin_within_s=600.0, ease_in_s=0.1)
MEGABYTE: Final = 1e6


class FastClock:
    """A second of it passes in a part of one."""

    def __init__(self, faster: float) -> None:
        self._faster, self._began_s = faster, time.monotonic()

    def now(self) -> float:
        return self._began_s + (time.monotonic() - self._began_s) * self._faster

    def sleep_until(self, moment: float) -> None:
        time.sleep(max(0.0, moment - self.now()) / self._faster)


class Arm:
    """The simulator's physics, which passes with the commands, and two cameras whose pictures are made up."""

    def __init__(self, clock: FastClock) -> None:
        self._clock, self._world, self._lock = clock, World(seed=1), threading.Lock()
        self._frames: dict[str, CameraFrame] = {}
        self._seen = 0

    def start(self) -> None:
        """There is nothing to open."""

    def get_observation(self) -> Observation:
        now = self._clock.now()
        if self._seen % PICTURE_EVERY == 0:
            picture = np.full((PICTURE_PX, PICTURE_PX, 3), self._seen % 256, np.uint8)
            self._frames = {name: CameraFrame(picture, now) for name in ("front", "wrist")}
        self._seen += 1
        with self._lock:
            return Observation(self._world.state(), self._frames, captured_s=now)

    def apply_action(self, chunk: ActionChunk) -> None:
        with self._lock:
            self._world.command(chunk.actions[0])
            self._world.advance(chunk.step_s)

    def safe_stop(self, reason: str = "") -> None:
        """It stands."""

    def stop(self) -> None:
        """Nor to close."""

    def frames(self) -> dict[str, CameraFrame]:
        return self._frames


@dataclass(frozen=True, slots=True)
class Reading:
    """What the process held after `periods` periods."""

    periods: int
    rss_mb: float
    descriptors: int
    threads: int


class Reader:
    """A `Listener` that reads what the process holds, now and then."""

    def __init__(self, every: int) -> None:
        self.readings: list[Reading] = []
        self._every, self._process = every, psutil.Process()

    def ticked(self, tick: Tick) -> None:
        if (tick.step + 1) % self._every == 0:
            held = self._process
            rss_mb = held.memory_info().rss / MEGABYTE
            self.readings.append(Reading(tick.step + 1, rss_mb, held.num_fds(), held.num_threads()))

    def observed(self, seq: int, observation: Observation) -> None:
        """Not counted."""

    def answered(self, chunk: DatedChunk) -> None:
        """Not counted."""

    def noted(self, event: Event) -> None:
        """Not counted."""


@dataclass(frozen=True)
class Course:
    """How it went. Growth is counted from the reading after the warm-up."""

    readings: list[Reading]
    result: RunnerResult
    recorded_lines: int
    looks: int
    seconds: float

    @property
    def slope_mb(self) -> float:
        """By how much memory grows in an hour, by the line through the readings after the warm-up."""
        held = self.readings[WARM_UP:]
        hours = [reading.periods / PERIODS for reading in held]
        return float(np.polyfit(hours, [reading.rss_mb for reading in held], 1)[0])

    def missed(self) -> list[str]:
        """The targets that were missed, in words."""
        first, last = self.readings[WARM_UP], self.readings[-1]
        misses = [] if self.result.ok else [f"the run failed: {self.result.errors[0].message}"]
        if last.rss_mb - first.rss_mb > MOST_GROWTH_MB:
            misses.append(f"memory grew by {last.rss_mb - first.rss_mb:.1f} MB, target {MOST_GROWTH_MB:.0f}")
        for what in ("descriptors", "threads"):
            before, after = getattr(first, what), getattr(last, what)
            if after - before > MOST_DRIFT:
                misses.append(f"{what} grew from {before} to {after}")
        return misses


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.runs.hour", description=__doc__)
    parser.add_argument("--periods", type=int, default=PERIODS)
    parser.add_argument("--faster", type=float, default=FASTER, help="how many times as fast as a clock")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # a busy machine holds the clock up, and the run says so each time
    course = hour(options.periods, options.faster)
    _print(course)
    return 1 if course.missed() else 0


def hour(periods: int, faster: float) -> Course:
    """Run the arm for so many periods, whose moments come `faster` times as fast."""
    began_s = time.monotonic()
    clock = FastClock(faster)
    robot = replace(load_embodiment(EMBODIMENT), control_hz=HZ, stop_ladder=StopLadder(rungs=("hold",)))
    arm, reader = Arm(clock), Reader(max(1, periods // READINGS))
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="reflex-hour-")))
        url = opened.enter_context(chunk_server())
        facts = RunFacts(robot, "apply_actions", "", "sim", HZ)
        recorder = opened.enter_context(Recorder(folder, facts, ("jsonl",), frames=arm.frames, now=clock.now))
        view = LiveView(robot, mode="apply_actions", frames=arm.frames)
        looks = opened.enter_context(_looked_at(opened.enter_context(LivePage(view)).url))
        result = run_session(
            arm, build_transport("act", {"url": url, "timeout_s": 30.0}, control_hz=HZ, clock=clock), None,
            "apply_actions", robot=robot, safety=PATIENT, max_steps=periods, listeners=[reader, recorder, view],
            clock=clock,
        )  # fmt: skip
        recorder.close()
        lines = sum(file.read_bytes().count(b"\n") for file in (recorder.folder / "jsonl").iterdir())
    return Course(reader.readings, result, lines, len(looks), time.monotonic() - began_s)


@contextmanager
def _looked_at(url: str) -> Iterator[list[int]]:
    """A browser that asks twice a second how the run stands; gives what it was answered."""
    answers: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=url) as client:
            while not is_over.wait(0.5):
                answers.append(client.get("/run.json").status_code)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()


def _print(course: Course) -> None:
    print(f"{'periods':>9} {'RSS MB':>8} {'descriptors':>12} {'threads':>8}")
    for one in course.readings:
        print(f"{one.periods:9,} {one.rss_mb:8.1f} {one.descriptors:12} {one.threads:8}")
    told: dict[str, Any] = {
        "seconds": round(course.seconds, 1), "steps": course.result.steps, "overruns": course.result.overruns,
        "holds": course.result.holds, "recorded_lines": course.recorded_lines, "looks": course.looks,
        "memory_slope_mb_per_hour": round(course.slope_mb, 2), "latency_ms": dict(course.result.latency_ms),
    }  # fmt: skip
    print(json.dumps(told))
    for miss in course.missed():
        print(f"missed: {miss}")


if __name__ == "__main__":
    sys.exit(main())
