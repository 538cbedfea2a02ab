"""A worker, its trainer, or both are killed at random instants: what is claimed anew ends as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from reflex.errors import TransportError, UnauthorizedError
from reflex.file_lock import LockHeldError, file_lock
from reflex.processes.guardian import living
from reflex.training.port import ClaimedRun, Ending, WorkerFacts
from reflex.training.request import TrainingRequest
from reflex_learning.training.reporting import Pace
from reflex_learning.training.running import Place
from reflex_learning.training.settings import TrainerSettings
from reflex_learning.training.worker import run_worker, worker_id
from support.trainer.one_worker import LINE, queue_from
from support.trainer.stub import MemoryQueue, claimed, dataset_in, stub_python
from support.waiting import let_pass, wait_until

KILLS = 3
FACTS = WorkerFacts(worker_id="w", name="w", families=("act",))
STEPS = 100
REQUEST = TrainingRequest(dataset_id="d", base="act", steps=STEPS, save_every=50, seed=3)
ATTEMPTS = 12


def place(folder: Path) -> Place:
    settings = TrainerSettings(python=stub_python(folder / "environment"))
    return Place(folder=folder, settings=settings, repository=folder / "models", pace=Pace(beat_s=0.02))


def weights(folder: Path) -> bytes:
    last = folder / "runs" / "run_1" / "training" / "checkpoints" / "last"
    return (last / "pretrained_model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("undisturbed")
    ending = run_worker(MemoryQueue([claimed(REQUEST, dataset_in(folder))]), FACTS, place(folder), once=True)
    assert ending is not None
    assert ending.state == "succeeded"
    return weights(folder)


def started(folder: Path, run: ClaimedRun) -> subprocess.Popen[bytes]:
    """A worker as a process of its own, whose queue is a file of what it was told."""
    environment = {**os.environ, "STUB_TRAINER": json.dumps({"step_s": 0.01}), "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", LINE, str(folder), run.lease_id, str(run.attempt)]
    return subprocess.Popen(argv, env=environment, start_new_session=True)


def trainers_of(folder: Path) -> list[int]:
    """Processes of the run, but not the worker; none before it has begun."""
    mark = folder / "worker.mark"
    return living(mark.read_text(), frozenset()) if mark.is_file() and mark.read_text() else []


def strike(chance: random.Random, worker: subprocess.Popen[bytes], folder: Path) -> str:
    """At an instant that hits every part of a run: its start, its steps, its checkpoints, its end."""
    let_pass(chance.uniform(0.0, 2.5))
    whom = chance.choice(["worker", "trainer", "both"])
    if whom != "worker":
        for pid in trainers_of(folder):
            _kill(pid)
    if whom != "trainer":
        _kill(worker.pid)
    return whom


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS))
def test_whoever_is_killed_the_run_ends_with_its_last_step(seed: int, tmp_path: Path, undisturbed: bytes) -> None:
    chance, told = random.Random(seed), []
    dataset_in(tmp_path), stub_python(tmp_path / "environment")
    for attempt in range(1, ATTEMPTS):
        worker = started(tmp_path, claimed(REQUEST, tmp_path / "dataset", attempt=attempt))
        told.append(strike(chance, worker, tmp_path) if attempt < 4 else "nobody")
        code = worker.wait()
        wait_until(lambda: not trainers_of(tmp_path), "nothing of it runs")
        queue = queue_from(tmp_path)
        if queue.ending is not None:
            break
        assert code == -signal.SIGKILL, told
    assert queue.ending is not None, told
    assert (queue.ending.state, queue.ending.steps) == ("succeeded", STEPS), (told, queue.ending.reason)
    assert weights(tmp_path) == undisturbed
    assert {metric.step for metric in queue.metrics} >= set(range(51, STEPS + 1))
    assert not [process for process in psutil.process_iter() if _is_of(process, tmp_path)]


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in word for word in process.cmdline())
    except psutil.Error:
        return False


def test_of_one_folder_there_is_one_worker(tmp_path: Path) -> None:
    with file_lock(tmp_path / "worker.lock", "another worker"), pytest.raises(LockHeldError, match="--data"):
        run_worker(MemoryQueue([]), FACTS, place(tmp_path), once=True)


def test_without_a_run_it_ends_at_once_when_it_shall(tmp_path: Path) -> None:
    assert run_worker(MemoryQueue([]), FACTS, place(tmp_path), once=True) is None


def test_it_goes_on_asking_while_the_queue_is_away(tmp_path: Path) -> None:
    queue = MemoryQueue([claimed(replace(REQUEST, steps=50), dataset_in(tmp_path))], unreachable=3)
    heard: list[ClaimedRun | Ending | None] = []

    class EnoughError(Exception):
        """The run has ended."""

    def tell(what: ClaimedRun | Ending | None) -> None:
        heard.append(what)
        if isinstance(what, Ending):
            raise EnoughError

    hurried = replace(place(tmp_path), pace=Pace(beat_s=0.02, sleep=lambda _: None))
    with pytest.raises(EnoughError):
        run_worker(queue, FACTS, hurried, told=tell)
    assert queue.ending is not None
    assert len(heard) == 2


def test_what_the_queue_refuses_for_good_is_said(tmp_path: Path) -> None:
    class Refusing(MemoryQueue):
        def claim(self, worker: WorkerFacts) -> ClaimedRun | None:  # noqa: ARG002
            raise UnauthorizedError("unauthorized", "no key", status=401)

    with pytest.raises(UnauthorizedError):
        run_worker(Refusing([]), FACTS, place(tmp_path))
    with pytest.raises(TransportError):
        run_worker(MemoryQueue([], unreachable=1), FACTS, place(tmp_path), once=True)


@pytest.mark.slow
def test_it_keeps_its_id(tmp_path: Path) -> None:
    assert worker_id(tmp_path / "data") == worker_id(tmp_path / "data") != worker_id(tmp_path / "other")
