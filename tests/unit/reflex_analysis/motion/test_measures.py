"""Known movements come to known figures."""

from __future__ import annotations

import numpy as np
import pytest

from reflex_analysis.motion.loop import Course
from reflex_analysis.motion.measures import measure
from reflex_analysis.motion.playback import Seam
from support.motion.scripted import HZ, line, tried


def course_of(positions: list[float], held: list[bool] | None = None) -> Course:
    rows = [np.array([value]) for value in positions]
    return Course(commands=rows, positions=rows, is_held=held or [False] * len(rows))


def test_a_movement_of_constant_acceleration_has_no_jerk() -> None:
    figures = measure(course_of([0.5 * (tick / HZ) ** 2 for tick in range(100)]), np.ones(1), HZ)

    assert figures.jerk_rms == pytest.approx(0.0, abs=1e-6)


def test_the_jerk_of_a_cubic_is_its_third_derivative_in_ranges() -> None:
    figures = measure(course_of([3.0 * (tick / HZ) ** 3 for tick in range(100)]), np.array([2.0]), HZ)

    assert figures.jerk_rms == pytest.approx(9.0)
    assert figures.jerk_p99 == pytest.approx(9.0)


def test_discontinuity_is_the_worst_axis_of_each_seam_in_percent_of_its_range() -> None:
    course = course_of([0.0] * 10)
    course.commands = course.positions = [np.zeros(2)] * 10
    course.seams = [Seam(3, np.array([0.1, 0.1])), Seam(6, np.array([0.0, 0.6]))]
    figures = measure(course, np.array([1.0, 2.0]), HZ)

    assert figures.seams == 2
    assert figures.discontinuity_mean == pytest.approx(20.0)
    assert figures.discontinuity_max == pytest.approx(30.0)


def test_a_jump_behind_the_seam_is_a_kink_there_and_a_constant_speed_is_none() -> None:
    """A step of 0.3 instead of 0.1, five periods after the seam at 20; another one too late to be of it."""
    values = [0.1 * tick + 0.2 * (tick >= 25) + 0.7 * (tick >= 34) for tick in range(50)]
    course = course_of(values)
    course.seams = [Seam(20, np.zeros(1))]

    assert measure(course, np.ones(1), HZ).kink_mean == pytest.approx(20.0)
    course.seams = [Seam(10, np.zeros(1))]
    assert measure(course, np.ones(1), HZ).kink_mean == pytest.approx(0.0, abs=1e-9)


def test_a_jump_at_the_seam_is_a_kink_as_well() -> None:
    course = course_of([0.5 * (tick >= 20) for tick in range(40)])
    course.seams = [Seam(20, np.array([0.5]))]

    assert measure(course, np.ones(1), HZ).kink_mean == pytest.approx(50.0)


def test_pauses_are_runs_and_the_longest_counts_periods() -> None:
    held = [False, True, True, False, True, True, True, False, True]
    figures = measure(course_of([0.0] * 9, held), np.ones(1), HZ)

    assert (figures.pauses, figures.longest_pause) == (3, 3)


def test_tracking_is_the_distance_of_the_arm_from_its_command() -> None:
    course = course_of([0.0] * 4)
    course.positions = [np.array([0.2])] * 4

    assert measure(course, np.array([2.0]), HZ).tracking_rms == pytest.approx(10.0)


def test_chunks_that_jump_by_a_tenth_are_measured_so() -> None:
    """A policy that changes its mind each time: 0.1 up, 0.1 down."""
    course, asked = tried("open-loop", lambda question: line(0.1 * (question.number % 2), 0.0), latency_ms=100.0)
    figures = measure(course, np.ones(1), HZ)

    assert (len(asked), figures.seams) == (9, 7)  # the first begins the course, the last is still under way
    assert figures.discontinuity_mean == pytest.approx(10.0)
    assert figures.discontinuity_max == pytest.approx(10.0)
    assert (figures.pauses, figures.late, figures.refused) == (0, 0, 0)
    assert figures.requests_per_s == pytest.approx(9 / 4.0)
    assert (figures.delay_median, figures.delay_max) == (6.0, 6)


def test_a_trial_too_short_for_a_seam_has_figures_all_the_same() -> None:
    figures = measure(course_of([0.0]), np.ones(1), HZ)

    assert (figures.seams, figures.discontinuity_mean, figures.jerk_rms, figures.longest_pause) == (0, 0.0, 0.0, 0)
