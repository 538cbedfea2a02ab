"""A seam leads from the last command into the new chunk: at once nothing jumps, in the end nothing is left of it."""

from __future__ import annotations

import numpy as np
import pytest

from reflex_runner.motion.seam import EASE_SHARE, SEAM_SHARE, seam_between

SPEED = np.array([10.0, 20.0])


def test_it_begins_at_the_last_command_and_fades_in_a_straight_line() -> None:
    seam = seam_between(np.array([4.0, 0.0]), np.array([0.0, 0.0]), 10.0, 1.0, SPEED)
    wanted = np.zeros(2)
    assert [seam.closed_by(now, wanted)[0] for now in (10.0, 10.25, 10.5, 11.0, 12.0)] == [4.0, 3.0, 2.0, 0.0, 0.0]


def test_it_leads_from_the_command_to_what_is_wanted_in_its_time() -> None:
    seam = seam_between(np.array([9.0, 0.0]), np.array([5.0, 0.0]), 10.0, 2.0, SPEED)
    assert [seam.closed_by(now, np.array([5.0, 0.0]))[0] for now in (10.0, 11.0, 11.5, 12.0)] == [9.0, 7.0, 6.0, 5.0]


def test_a_gap_is_closed_with_a_part_of_the_top_speed_and_most_gently_at_the_start() -> None:
    assert (EASE_SHARE, SEAM_SHARE) == (0.25, 0.5)


def test_it_adds_to_the_motion_of_the_chunk() -> None:
    seam = seam_between(np.array([4.0, 0.0]), np.array([0.0, 0.0]), 10.0, 1.0, SPEED)
    assert seam.closed_by(10.5, np.array([6.0, 1.0])).tolist() == [8.0, 1.0]


@pytest.mark.parametrize(("gap", "lasts_s"), [((4.0, 4.0), 1.0), ((20.0, 0.0), 2.0), ((0.0, -60.0), 3.0)])
def test_a_wide_gap_takes_longer_so_that_no_axis_goes_faster_than_it_may(
    gap: tuple[float, float], lasts_s: float
) -> None:
    seam = seam_between(np.array(gap), np.zeros(2), 10.0, 1.0, SPEED)
    assert seam.ends_s - seam.began_s == lasts_s
    assert (np.abs(seam.gap) / lasts_s <= SPEED).all()


def test_before_its_beginning_it_is_not_wider_than_at_it() -> None:
    seam = seam_between(np.array([4.0, 0.0]), np.zeros(2), 10.0, 1.0, SPEED)
    assert seam.closed_by(9.5, np.zeros(2)).tolist() == [4.0, 0.0]
