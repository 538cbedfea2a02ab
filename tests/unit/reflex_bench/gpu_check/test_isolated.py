"""A stage in its own process: what it measured is kept, however it ends."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from reflex_bench.gpu_check.isolated import run_isolated
from reflex_bench.gpu_check.rows import Emit, LeftOut, Row

FIRST = Row("first", 1.5, "ms", "a note", {"family": "pi0", "batch": 4})
ENOUGH_S = 60.0


def told(work: object, seconds: float = ENOUGH_S) -> list[Row | LeftOut]:
    heard: list[Row | LeftOut] = []
    run_isolated(work, seconds, heard.append)  # type: ignore[arg-type]
    return heard


def test_figures_come_over_as_they_were() -> None:
    def work(emit: Emit) -> None:
        emit(FIRST)
        emit(LeftOut("why"))

    assert told(work) == [FIRST, LeftOut("why")]


def test_a_stage_that_fails_is_said_and_its_figures_count() -> None:
    def work(emit: Emit) -> None:
        emit(FIRST)
        raise RuntimeError("CUDA out of memory\nand more")

    assert told(work) == [FIRST, LeftOut("failed: RuntimeError: CUDA out of memory ... and more")]


def test_a_stage_that_takes_too_long_is_stopped_with_all_that_it_started() -> None:
    def work(emit: Emit) -> None:
        emit(Row("pid", float(os.getpid()), ""))
        threading.Event().wait()

    pid, stopped = told(work, seconds=0.2)

    assert isinstance(stopped, LeftOut)
    assert "--seconds" in stopped.why
    assert isinstance(pid, Row)
    assert not Path(f"/proc/{int(pid.value)}/cwd").exists()


def test_a_process_that_dies_is_noticed() -> None:
    def work(emit: Emit) -> None:
        emit(FIRST)
        os.kill(os.getpid(), signal.SIGKILL)

    [first, died] = told(work)

    assert first == FIRST
    assert isinstance(died, LeftOut)
    assert "died" in died.why
