"""The first chunk is eased into from the measured pose; later ones are blended in, and none of it leaves the range."""

from __future__ import annotations

import numpy as np

from reflex_runner.motion.joining import Joining
from support.runner.arms import arm, chunk, pose

PERIOD_S = 0.125
FIRST, SECOND = chunk((0.0, 50.0), 10.0), chunk((0.0, 50.0), 10.1, seq=1)
REST = np.array([0.0, 50.0])


def joining(ease_in_s: float = 1.0) -> Joining:
    return Joining(arm(), PERIOD_S, ease_in_s)


def at(joined: Joining, now: float, wanted: object = REST) -> float:
    return float(joined.joined(now, np.asarray(wanted, dtype=np.float64))[0])


def test_the_first_chunk_takes_as_long_as_is_said() -> None:
    made = joining(ease_in_s=2.0)
    made.begin(FIRST, 10.0, pose(8, 50), REST)
    assert [at(made, now) for now in (10.0, 10.5, 11.0, 12.0)] == [8.0, 6.0, 4.0, 0.0]
    assert not made.is_new(FIRST)
    assert made.is_new(SECOND)


def test_it_takes_longer_from_far_away_at_a_quarter_of_the_top_speed() -> None:
    made = joining(ease_in_s=1.0)
    made.begin(FIRST, 10.0, pose(64, 50), REST)  # top speed is 64 a second
    assert at(made, 10.0) - at(made, 11.0) == 16.0


def test_a_chunk_that_comes_meanwhile_does_not_make_it_faster() -> None:
    made = joining(ease_in_s=2.0)
    made.begin(FIRST, 10.0, pose(8, 50), REST)
    made.join(SECOND, 10.5, pose(6, 50), REST)
    assert [at(made, now) for now in (10.5, 11.0, 12.0)] == [6.0, 4.0, 0.0]


def test_later_chunks_are_blended_in_over_five_periods_and_wide_gaps_at_half_the_top_speed() -> None:
    made = joining()
    made.join(FIRST, 20.0, pose(10, 50), REST)
    assert [at(made, 20.0 + PERIOD_S * count) for count in range(6)] == [10, 8, 6, 4, 2, 0]
    made.join(SECOND, 30.0, pose(64, 50), REST)
    assert at(made, 31.0) == 32.0
    assert not made.is_new(SECOND)


def test_a_seam_leads_up_as_well_as_down() -> None:
    made = joining()
    made.join(FIRST, 20.0, pose(-10, 50), REST)
    assert [at(made, 20.0 + PERIOD_S * count) for count in range(6)] == [-10, -8, -6, -4, -2, 0]


def test_a_chunk_that_the_server_has_joined_keeps_what_is_left_of_the_seam() -> None:
    made = joining()
    made.join(FIRST, 20.0, pose(10, 50), REST)
    made.let_continue(SECOND)
    assert not made.is_new(SECOND)
    assert at(made, 20.0 + PERIOD_S) == 8.0


def test_a_seam_never_leads_out_of_the_range_but_what_the_policy_wants_may() -> None:
    made = joining()
    made.join(FIRST, 20.0, pose(95, 50), np.array([0.0, 50.0]))
    assert at(made, 20.0, (90.0, 50.0)) == 100.0
    assert at(made, 20.0, (120.0, 50.0)) == 120.0


def test_without_a_seam_the_chunk_says_what_is_wanted() -> None:
    made = joining()
    assert made.is_new(FIRST)
    assert at(made, 10.0, (3.0, 50.0)) == 3.0
    made.join(FIRST, 20.0, pose(10, 50), REST)
    made.leave()
    assert at(made, 20.0) == 0.0
    assert made.is_new(FIRST)


def test_a_new_run_eases_in_anew() -> None:
    made = joining(ease_in_s=4.0)
    made.begin(FIRST, 10.0, pose(8, 50), REST)
    made.forget()
    assert at(made, 10.0) == 0.0
    assert made.is_new(FIRST)
    made.join(SECOND, 10.5, pose(10, 50), REST)
    assert at(made, 10.5 + PERIOD_S) == 8.0


def test_a_far_chunk_that_comes_while_the_robot_eases_in_is_led_to_at_a_quarter_of_the_top_speed() -> None:
    made = joining(ease_in_s=2.0)
    made.begin(FIRST, 10.0, pose(0, 50), REST)
    made.join(SECOND, 11.0, pose(64, 50), REST)  # top speed is 64 a second
    assert at(made, 11.0) - at(made, 12.0) == 16.0
