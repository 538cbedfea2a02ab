"""The intervals are those of the literature, and hold at the edges."""

from __future__ import annotations

import pytest

from reflex_runner.evaluation.intervals import Interval, Pairs, exact_p_value, paired_difference, wilson


def test_wilsons_interval_is_that_of_newcombes_tables() -> None:
    """Statistics in Medicine 17 (1998), pages 857 to 872, table I: 81 of 263, 15 of 148, 0 of 20 and 1 of 29."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_the_paired_interval_is_that_of_newcombes_tables() -> None:
    """Statistics in Medicine 17 (1998), pages 2635 to 2650, method 10, of 36, 12, 2 and 0 pairs: 0.0569 to 0.3404.

    There the second rate is taken from the first.
    """
    found = paired_difference(Pairs(both=36, first_only=12, second_only=2, neither=0))
    assert (-found.high, -found.low) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_who_is_called_first_only_turns_the_sign() -> None:
    there = paired_difference(Pairs(30, 9, 2, 9))
    back = paired_difference(Pairs(30, 2, 9, 9))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize("pairs", [Pairs(50, 0, 0, 0), Pairs(0, 0, 0, 50), Pairs(0, 50, 0, 0), Pairs(1, 0, 0, 0)])
def test_the_difference_lies_in_its_interval_where_a_margin_is_empty(pairs: Pairs) -> None:
    low, high = paired_difference(pairs)
    assert -1 <= low <= (pairs.second_only - pairs.first_only) / pairs.total <= high <= 1


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)
    assert paired_difference(Pairs(0, 0, 0, 0)) == Interval(-1.0, 1.0)
    assert exact_p_value(Pairs(5, 0, 0, 5)) == 1.0


def test_the_exact_test_looks_at_the_pairs_that_only_one_won() -> None:
    assert exact_p_value(Pairs(36, 12, 2, 0)) == pytest.approx(0.01293945, abs=1e-8)
    assert exact_p_value(Pairs(0, 12, 2, 900)) == exact_p_value(Pairs(36, 2, 12, 0))
    assert exact_p_value(Pairs(1, 3, 3, 1)) == 1.0


def test_rates_of_all_and_none_reach_the_end_to_the_bit() -> None:
    assert wilson(200, 200).high == 1.0
    assert wilson(0, 200).low == 0.0
    assert wilson(200, 200).low == pytest.approx(0.98115, abs=1e-5)
