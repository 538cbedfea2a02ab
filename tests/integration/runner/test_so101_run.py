"""An SO-101 on its bus, run by `reflex connect` beside the server that it asks: on time, and soon."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.promise import Promise
from support.runner.driven import models_for
from support.server import ServerProcess, running_server
from support.servos.served_run import give_up_real_time, run_beside

PERIODS = 200
"""Of each of three turns."""
START_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    models = models_for("so101", tmp_path_factory.mktemp("models"))
    with running_server("--model-repository", str(models), "--policy", "sim_demo") as made:
        yield made


@pytest.mark.timing
@pytest.mark.parametrize(
    ("how", "begin"), [("as it comes", None), ("without real-time rights", give_up_real_time)], ids=["free", "humble"]
)
def test_at_30_hz_a_period_begins_within_3_ms_beside_a_server_that_is_asked_all_the_time(
    server: ServerProcess, tmp_path: Path, promise: Promise, how: str, begin: Callable[[], None] | None
) -> None:
    missed: list[int] = []

    def turn() -> list[float]:
        run = run_beside(server.base_url, tmp_path / str(len(missed)), steps=PERIODS, begin=begin)
        assert run.result["ok"], run.result["errors"]
        assert run.result["appliedSteps"] == run.result["steps"] >= PERIODS
        assert run.chunks > PERIODS / 4, "it asks nearly all the time"
        missed.append(run.result["overruns"])
        return [tick["late_s"] for tick in run.ticks]

    p99_s = promise.within_99_of_100(turn)
    promise(f"the jitter at 30 Hz of an SO-101 beside its server, p99, {how}", p99_s, at_most=0.003)
    promise(f"periods of {PERIODS * len(missed)} that it missed, {how}", sum(missed), at_most=6, unit="")


@pytest.mark.timing
def test_the_arm_is_commanded_soon_after_the_start(server: ServerProcess, tmp_path: Path, promise: Promise) -> None:
    alone_s = []
    for number in range(3):
        with promise.beside_neighbours() as neighbours:
            run = run_beside(server.base_url, tmp_path / str(number), steps=3)
        assert run.result["ok"], run.result["errors"]
        alone_s.append(neighbours.without(run.first_command_s))
    promise(
        "from the start of reflex connect to an SO-101's first command", statistics.median(alone_s), at_most=START_S
    )


@pytest.mark.slow
def test_the_package_is_imported_soon(promise: Promise) -> None:
    program = (
        "import time; began = time.monotonic(); import reflex, reflex_runner.running; print(time.monotonic() - began)"
    )
    times_s = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(3)]
    promise("importing reflex and its runner", min(times_s), at_most=START_S)
