"""`make promises` itself: what it measures, what it repeats, and what turns it red."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
INI = "[pytest]\nmarkers =\n  timing: measured\n"
MACHINE = """import itertools, pytest
from support import noise, promise
noise.LOOK_EVERY_S = 0.0
noise.sample = promise.sample = lambda: noise.Samples((0.0,), (next(spins),))
promise.stretches = lambda: tuple(10 * next(spins) for _ in range(100))
figures = itertools.count()
"""
QUIET = "spins = itertools.repeat(1.0)\n"
BUSY = "spins = itertools.chain([1.0] * 2, itertools.repeat(2.0))\n"
"""After its first look: a neighbour takes half of the processor."""


def run_of(folder: Path, body: str, *options: str, spins: str = QUIET) -> tuple[int, str, dict[str, Any]]:
    """Exit code, output and JSON of pytest over `body`, on a machine whose spins take so long."""
    (folder / "pytest.ini").write_text(INI)
    (folder / "test_it.py").write_text(MACHINE + spins + body)
    report = folder / "promises.json"
    command = [sys.executable, "-m", "pytest", "-p", "support.promise", "--promises-json", str(report), *options, "."]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.slow
def test_a_figure_beyond_its_bound_is_red_in_time_and_green_in_make_test(tmp_path: Path) -> None:
    body = "def test_slow(promise):\n    promise('an answer comes soon', 0.2, at_most=0.1)\n"
    assert run_of(tmp_path, body, "-m", "not timing")[0] == 0
    code, said, report = run_of(tmp_path, body, "-m", "timing")
    assert code == 1
    assert "missed: an answer comes soon:     200 ms <= 100 ms" in said
    assert report["repeats"] == ["test_it.py::test_slow[in_time]"]


@pytest.mark.slow
def test_what_hangs_or_is_wrong_is_red_in_make_test(tmp_path: Path) -> None:
    body = "def test_hangs(promise):\n    promise('an answer comes soon', 99.0, at_most=0.1)\n"
    assert run_of(tmp_path, body, "-m", "not timing")[0] == 1
    body = "def test_wrong(promise):\n    promise('soon', 0.0, at_most=0.1)\n    assert False\n"
    assert run_of(tmp_path, body, "-m", "not timing")[0] == 1
    code, _, report = run_of(tmp_path, body, "-m", "timing")
    assert (code, report["repeats"]) == (1, [])


@pytest.mark.slow
def test_a_promise_kept_at_the_second_try_is_counted_with_fresh_fixtures(tmp_path: Path) -> None:
    body = (
        "@pytest.fixture(scope='module')\ndef figure():\n    return next(figures)\n"
        "def test_once_slow(promise, figure):\n    promise('the second is quick', 1 - figure, at_most=0.5)\n"
        "def test_after_it(promise, figure):\n    promise('the next runs too', figure, at_least=1.0, unit='x')\n"
    )
    code, said, report = run_of(tmp_path, body, "-m", "timing")
    assert code == 0
    assert "2 promises, 1 measured twice (at most 2 may be)" in said
    assert [(row["sentence"], row["measured"], row["ratio"]) for row in report["promises"]] == [
        ("the second is quick", 0, 0),
        ("the next runs too", 1, 1),
    ]
    assert all(row["noise"]["spin_p99"] >= row["noise"]["spin_p50"] >= 1 for row in report["promises"])


def flaky(count: int) -> str:
    """Promises that are kept at once, and `count` that are kept at the second try."""
    return (
        "def test_kept(promise):\n    promise('soon', 0.0, at_most=0.5)\n"
        f"@pytest.mark.parametrize('number', range({count}))\n"
        "def test_flaky(promise, number):\n    promise('every second is quick', 1 - next(figures) % 2, at_most=0.5)\n"
    )


@pytest.mark.slow
def test_three_promises_that_needed_a_second_try_fail_the_run(tmp_path: Path) -> None:
    code, said, report = run_of(tmp_path, flaky(3), "-m", "timing")
    assert (code, len(report["repeats"]), report["while_busy"]) == (1, 3, [])
    assert "4 passed" in said


@pytest.mark.slow
def test_those_that_were_missed_on_a_busy_machine_are_told_and_may_be_more(tmp_path: Path) -> None:
    code, said, report = run_of(tmp_path, flaky(3), "-m", "timing", spins=BUSY)
    assert (code, len(report["while_busy"])) == (0, 3)
    assert "4 promises, 3 measured twice, 3 of them missed on a busy machine (at most 2 may be)" in said


@pytest.mark.slow
def test_a_machine_that_is_busy_all_the_time_measures_nothing(tmp_path: Path) -> None:
    code, _, report = run_of(tmp_path, flaky(9), "-m", "timing", spins=BUSY)
    assert (code, len(report["while_busy"])) == (1, 9)


@pytest.mark.slow
def test_a_promise_that_is_missed_twice_on_a_busy_machine_is_red(tmp_path: Path) -> None:
    body = "def test_kept(promise):\n    promise('soon', 0.0, at_most=1.0)\n"
    body += "def test_slow(promise):\n    promise('soon', 2.0, at_most=1.0)\n"
    code, said, _ = run_of(tmp_path, body, "-m", "timing", spins=BUSY)
    assert code == 1
    assert "1 failed, 1 passed" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "@pytest.mark.timing\ndef test_it():\n    pass\n",
        "@pytest.mark.timing\ndef test_it(promise):\n    pass\n",
    ],
    ids=["without the fixture", "without a figure"],
)
def test_timing_that_measures_nothing_is_an_error(tmp_path: Path, body: str) -> None:
    assert run_of(tmp_path, body)[0] != 0


def test_only_the_worst_figure_of_a_sentence_is_in_the_table(tmp_path: Path) -> None:
    body = "def test_it(promise):\n    for took in (1, 3, 2):\n        promise('soon', took, at_most=9)\n"
    _, _, report = run_of(tmp_path, body, "-m", "timing")
    assert [row["measured"] for row in report["promises"]] == [3]


def test_seconds_of_work_are_those_of_a_processor_without_neighbours(tmp_path: Path) -> None:
    """Before the block a spin takes 1 s, after it 2: of its 3 s one and a half go at full speed, as many at half."""
    body = "def test_it(promise):\n    with promise.beside_neighbours() as neighbours:\n        took_s = 3.0\n"
    body += "    promise('soon', neighbours.without(took_s), at_most=2.5)\n"
    code, _, report = run_of(tmp_path, body, "-m", "timing", spins=BUSY)
    (row,) = report["promises"]
    assert (code, row["measured"], row["slowest"]) == (0, 2.25, 4 / 3)


def test_a_processor_that_is_quiet_corrects_nothing(tmp_path: Path) -> None:
    body = "def test_it(promise):\n    with promise.beside_neighbours() as neighbours:\n        took_s = 3.0\n"
    body += "    promise('soon', neighbours.without(took_s), at_most=2.5)\n"
    code, said, _ = run_of(tmp_path, body, "-m", "timing", spins="spins = itertools.cycle([1.0, 1.2])\n")
    assert code == 1
    assert "missed: soon:        3 s <= 2.5 s" in said


NEIGHBOUR = """
def spun():
    yield 1.0  # the look before the test
    while True:
        yield from [1.0] * 97 + [3.0] * 3
spins = spun()
"""
"""Of a hundred stretches three meet a neighbour, and take three times as long."""
MET = "[1.0] * 97 + [3.0] * 3"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spins", "turns", "measured"),
    [
        (QUIET, f"[{MET}] * 3", 3.0),
        (NEIGHBOUR, f"[{MET}] * 3", 1.0),
        (NEIGHBOUR, "[[8.0] * 100] * 3", 8.0),
        (NEIGHBOUR, f"[[9.0] * 100, {MET}, {MET}]", 9.0),
        (BUSY, "[[2.0] * 97 + [6.0] * 3] * 3", 3.0),
    ],
    ids=["quiet", "neighbour", "always late", "one turn of three", "half of the processor"],
)
def test_the_slowest_of_a_hundred_are_those_of_a_processor_without_neighbours(
    tmp_path: Path, spins: str, turns: str, measured: float
) -> None:
    """What is late in more than a few of a hundred is not the neighbours' doing."""
    body = f"def test_it(promise):\n    turns = iter({turns})\n"
    body += "    promise('soon', promise.within_99_of_100(lambda: next(turns)), at_most=9.5)\n"
    code, said, report = run_of(tmp_path, body, "-m", "timing", spins=spins)
    assert code == 0, said
    assert report["promises"][0]["measured"] == pytest.approx(measured)


@pytest.mark.slow
def test_where_nothing_is_measured_nobody_looks_at_the_processor(tmp_path: Path) -> None:
    body = "def test_it(promise):\n    with promise.beside_neighbours() as neighbours:\n        pass\n"
    body += "    assert neighbours.without(3.0) == 3.0\n    assert promise.within_99_of_100(lambda: [3.0]) == 3.0\n"
    body += "    promise('soon', 0.0, at_most=1.0)\n"
    assert run_of(tmp_path, body, "-m", "not timing", spins="spins = iter(())\n")[0] == 0
