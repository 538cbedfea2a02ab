"""What recording costs the loop that drives a robot: rounds with and without it in turns, so both meet the same."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from reflex.connector import CameraFrame, Observation
from reflex_runner.loop.precedence import SWITCH_S, take_precedence
from reflex_runner.recording.recorder import Recorder
from reflex_runner.tick import Listener
from support.promise import Promise
from support.run_recording.runs import facts, pose, tick
from support.waiting import let_pass

RATE_HZ: Final = 50.0
CAMERA_HZ: Final = 30.0
ROUND_S: Final = 1.0
ROUNDS: Final = 8
FORMATS: Final = ("jsonl", "mcap", "lerobot")
ALLOWED_S: Final = {50: 1e-4, 90: 1e-4, 99: 0.01 / RATE_HZ}
"""By percentile. A hundredth of a period is what two pictures at once cost where Linux copies them undisturbed."""
Seconds = npt.NDArray[np.float64]


@contextmanager
def observing(listener: Listener | None) -> Iterator[None]:
    """A thread that hands over two real pictures thirty times a second, as cameras and a policy's asking do."""
    over = threading.Event()
    pictures = np.random.default_rng(0).integers(0, 256, (8, 60, 80, 3), np.uint8).repeat(8, 1).repeat(8, 2)

    def observe() -> None:
        for number in itertools.count():
            captured_s = time.monotonic()
            frames = {name: CameraFrame(pictures[number % 8], captured_s) for name in ("front", "wrist")}
            if listener is not None:
                listener.observed(number, Observation(pose(number), frames, None, captured_s))
            if over.wait(1 / CAMERA_HZ):
                return

    thread = threading.Thread(target=observe)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def loop(listener: Listener | None) -> tuple[Seconds, Seconds]:
    """By how much each period began late, and what telling of it took."""
    begin_s, late, took = time.monotonic() + 0.1, [], []
    for number in range(int(ROUND_S * RATE_HZ)):
        due_s = begin_s + number / RATE_HZ
        let_pass(max(0.0, due_s - time.monotonic()))
        at_s = time.monotonic()
        late.append(at_s - due_s)
        period = tick(number, at_s)
        told_s = time.monotonic()
        if listener is not None:
            listener.ticked(period)
        took.append(time.monotonic() - told_s)
    return np.array(late), np.array(took)


def loop_as_in_a_run(listener: Listener | None) -> tuple[Seconds, Seconds]:
    """On a thread that goes before the others of the machine, as the control loop does wherever Linux lets it."""

    def go() -> tuple[Seconds, Seconds]:
        take_precedence()
        return loop(listener)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(go).result()


@contextmanager
def busy_programs(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Other programs that want all of the processor, as politely as the run does."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield programs
    finally:
        for program in programs:
            program.kill()
            program.wait()


@contextmanager
def paused(programs: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """What comes after the run is not measured, and would take minutes beside them."""
    for program in programs:
        program.send_signal(signal.SIGSTOP)
    yield
    for program in programs:
        program.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class Round:
    """Two seconds of a loop."""

    late: Seconds
    took: Seconds


def measured(recorder: Recorder | None) -> Round:
    with observing(recorder):
        return Round(*loop_as_in_a_run(recorder))


@dataclass(frozen=True)
class Turns:
    """A round that is recorded between two that are not: what the two differ by is the machine's own."""

    without: tuple[Round, Round]
    with_it: Round


def late_s(rounds: Iterable[Round], percent: float) -> float:
    """So late at most are so many of all their periods."""
    return float(np.percentile(np.concatenate([each.late for each in rounds]), percent))


def more_s(found: list[Turns], percent: float) -> float:
    """By how much recording makes a period later."""
    with_it = late_s((each.with_it for each in found), percent)
    return with_it - late_s((one for each in found for one in each.without), percent)


def noise_s(found: list[Turns], percent: float) -> float:
    """By how much rounds without it differ: of every turn one against the other, in each way to take sides."""
    differences = []
    for sides in itertools.product((False, True), repeat=len(found)):
        some = (each.without[side] for each, side in zip(found, sides, strict=True))
        others = (each.without[not side] for each, side in zip(found, sides, strict=True))
        differences.append(abs(late_s(some, percent) - late_s(others, percent)))
    return float(np.percentile(differences, 95))


def turns(parent: Path, busy: list[subprocess.Popen[bytes]]) -> list[Turns]:
    found = []
    for _ in range(ROUNDS):
        recorder = Recorder(parent, facts(), FORMATS)
        recorder.start()
        try:
            before, with_it = measured(None), measured(recorder)
        finally:
            with paused(busy):
                is_whole = recorder.close()
        assert is_whole
        found.append(Turns((before, measured(None)), with_it))
    return found


def quantiles_ms(rounds: list[Round]) -> list[float]:
    late = np.concatenate([each.late for each in rounds])
    return [round(float(value) * 1e3, 3) for value in np.quantile(late, [0.5, 0.9, 0.99, 0.999])]


@pytest.fixture
def quick_threads() -> Iterator[None]:
    """As in a run: a busy thread gives way within half a millisecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    yield
    sys.setswitchinterval(before)


@pytest.mark.timing
@pytest.mark.usefixtures("quick_threads")
@pytest.mark.parametrize("busy", [0, 2], ids=["alone", "beside_two_busy_programs"])
def test_recording_costs_the_control_loop_nothing_that_can_be_measured(
    tmp_path: Path, promise: Promise, busy: int
) -> None:
    with busy_programs(busy) as programs:
        found = turns(tmp_path, programs)
    with_it, without = [each.with_it for each in found], [one for each in found for one in each.without]
    print("late, in ms, at 50, 90, 99 and 99.9 %: recording", *quantiles_ms(with_it), "not", *quantiles_ms(without))

    told_s = float(np.median(np.concatenate([each.took for each in with_it])))
    beside = f" beside {busy} busy programs" if busy else ""
    promise(f"telling the recorder of a period{beside} takes at most 0.1 ms (median)", told_s, 1e-4)
    for percent, allowed_s in ALLOWED_S.items():
        sentence = (
            f"recording{beside}: {percent} % of periods are later by what rounds without it differ, "
            f"or {allowed_s * 1e3:g} ms"
        )
        promise(sentence, more_s(found, percent), noise_s(found, percent) + allowed_s)
