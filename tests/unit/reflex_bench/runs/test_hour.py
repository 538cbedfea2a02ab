"""The hour of a robot's run, in short; `make runner-hour` is the real one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reflex_bench.runs.hour import PERIODS, READINGS, WARM_UP, Course, Reading, hour


@pytest.fixture(scope="module")
def course() -> Course:
    return hour(periods=600, faster=8.0)


@pytest.mark.slow
def test_a_run_that_is_recorded_and_looked_at_keeps_memory_descriptors_and_threads(course: Course) -> None:
    assert course.missed() == []
    assert course.result.steps >= 600
    assert course.result.applied_steps == course.result.steps
    assert course.recorded_lines > 600
    assert course.looks > 0
    assert len(course.readings) >= READINGS


@pytest.mark.slow
def test_the_line_through_the_readings_is_growth_in_an_hour(course: Course) -> None:
    grown = [Reading(number * PERIODS // 20, 100.0 + number, 12, 8) for number in range(1, 21)]
    assert replace(course, readings=grown).slope_mb == pytest.approx(20.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "word"),
    [
        (Reading(9, 120.1, 12, 8), "memory grew by 20.1 MB"),
        (Reading(9, 100.0, 15, 8), "descriptors grew from 12 to 15"),
        (Reading(9, 100.0, 12, 11), "threads grew from 8 to 11"),
    ],
)
def test_what_grows_is_missed(course: Course, end: Reading, word: str) -> None:
    steady = [Reading(number, 100.0, 12, 8) for number in range(WARM_UP + 2)]
    assert replace(course, readings=steady).missed() == []
    [miss] = replace(course, readings=[*steady, end]).missed()
    assert miss.startswith(word)
