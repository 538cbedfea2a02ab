"""Engine builds at once, killed and interrupted: built once, and never half an engine."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from integration.engine_builds import (
    BUILD_S,
    DEMO,
    ENDED_S,
    build,
    command,
    copy_of_demo,
    entries,
    worker_of,
)
from reflex.console import EXIT_INTERRUPTED
from reflex.model_repository import model_file
from reflex_export.engines import (
    EngineRecord,
)
from reflex_export.engines.cache import EngineCache
from support.promise import Promise
from support.waiting import HANGS_S, let_pass

pytestmark = pytest.mark.slow


def test_two_that_build_the_same_at_once_build_it_once(tmp_path: Path) -> None:
    records: list[EngineRecord] = []
    phases: list[str] = []

    def build_encoder() -> None:
        path = model_file(DEMO, "demo_encoder")
        records.append(build(path, tmp_path, progress=lambda step: phases.append(step.phase)))

    threads = [threading.Thread(target=build_encoder) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(record.cached for record in records) == [False, True]
    assert phases.count("Building engine") == 1
    assert "waiting for another build of the same engine" in phases


def test_two_commands_at_once_build_each_engine_once(tmp_path: Path) -> None:
    repository, cache = copy_of_demo(tmp_path), tmp_path / "cache"
    shutil.copytree(DEMO / "demo_encoder" / "1", repository / "demo_denoise" / "1", dirs_exist_ok=True)  # the small one

    with command(repository, cache) as first, command(repository, cache) as second:
        outputs = [process.communicate(timeout=BUILD_S) for process in (first, second)]

    built = [json.loads(output)["engines"][0]["components"] for output, _ in outputs]
    # Encoder and denoise differ in their greatest batch only: two engines, four times asked for.
    assert sum(not component["cached"] for components in built for component in components) == 2
    assert len(entries(cache)) == 2


@pytest.mark.parametrize(
    "delay_s", [pytest.param(0.0, marks=pytest.mark.slow), 0.45, pytest.param(0.9, marks=pytest.mark.slow)]
)
def test_a_build_that_is_killed_leaves_no_half_engine(tmp_path: Path, delay_s: float) -> None:
    repository, cache = copy_of_demo(tmp_path), tmp_path / "cache"
    with command(repository, cache) as process:
        worker = worker_of(process)
        let_pass(delay_s)
        process.kill()
        process.wait()
        gone, alive = psutil.wait_procs([worker], timeout=HANGS_S)

    assert (len(gone), alive) == (1, [])
    assert not list(repository.glob("*/1/*.plan"))
    assert all(EngineCache(cache).find(key) is not None for key in entries(cache))
    record = build(model_file(repository, "demo_encoder"), cache)
    assert record.plan.stat().st_size == record.manifest.plan_bytes
    assert not list(cache.glob(f".{record.manifest.key}*"))


@pytest.mark.parametrize("delay_s", [pytest.param(0.0, marks=pytest.mark.slow), 0.6])
def test_ctrl_c_ends_a_build_at_once_and_leaves_nothing(tmp_path: Path, promise: Promise, delay_s: float) -> None:
    repository, cache = copy_of_demo(tmp_path), tmp_path / "cache"
    shutil.copytree(DEMO / "demo_denoise" / "1", repository / "demo_encoder" / "1", dirs_exist_ok=True)  # the slow one
    with command(repository, cache) as process:
        worker = worker_of(process)
        let_pass(delay_s)
        started_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=BUILD_S)
        took_s = time.monotonic() - started_s
        gone, _ = psutil.wait_procs([worker], timeout=HANGS_S)

    promise("Ctrl-C ends an engine build", took_s, at_most=ENDED_S)
    assert gone == [worker]
    # On a busy machine it may be done before the signal comes; then all of it is there.
    assert (process.returncode, len(entries(cache))) in ((EXIT_INTERRUPTED, 0), (0, 2))
    assert not list(cache.glob(".*.partial"))


def test_a_worker_that_dies_is_an_error_that_says_how(tmp_path: Path) -> None:
    repository = copy_of_demo(tmp_path)
    with command(repository, tmp_path / "cache") as process:
        worker_of(process).kill()
        output, _ = process.communicate(timeout=BUILD_S)

    assert process.returncode == 1
    assert "killed, probably because memory ran out" in json.loads(output)["message"]
