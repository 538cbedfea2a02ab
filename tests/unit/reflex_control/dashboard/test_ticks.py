"""An axis holds what it is over, has marks at round numbers, and no number makes it fail."""

from __future__ import annotations

import itertools

import pytest

from reflex_control.dashboard.ticks import axis_over, figure_of

ODD = (0.0, -0.0, 1e-300, 1e100, -1e100, 1.0, 1.0 + 1e-15, -3.5, 7e22, 5e-324)


def test_marks_are_at_round_numbers() -> None:
    assert list(axis_over(0, 3000, 5).ticks) == [0, 1000, 2000, 3000]
    assert [round(tick, 9) for tick in axis_over(0.03, 0.61, 5).ticks] == [0.2, 0.4, 0.6]


def test_what_falls_by_decades_is_shown_by_decades_where_that_is_wanted() -> None:
    axis = axis_over(0.05, 80, 5, may_log=True)
    assert (axis.is_log, [round(tick, 9) for tick in axis.ticks]) == (True, [0.1, 1, 10])
    assert axis.share(0.05) == pytest.approx(0)
    assert axis.share(2.0) == pytest.approx(0.5)
    assert [round(tick, 9) for tick in axis_over(0.19, 7, 5, may_log=True).ticks] == [0.2, 0.5, 1, 2, 5]
    assert not axis_over(0.05, 80, 5).is_log
    assert not axis_over(0, 80, 5, may_log=True).is_log


@pytest.mark.parametrize(("low", "high"), [pair for pair in itertools.product(ODD, ODD) if pair[0] <= pair[1]])
@pytest.mark.parametrize("may_log", [False, True])
def test_every_pair_of_numbers_has_an_axis_with_few_marks(low: float, high: float, *, may_log: bool) -> None:
    axis = axis_over(low, high, 5, may_log=may_log)

    assert axis.low <= low <= high <= axis.high
    assert len(axis.ticks) <= 8
    assert all(-1e-6 <= axis.share(value) <= 1 + 1e-6 for value in (*axis.ticks, low, high))


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.123456, "0.1235"), (3000, "3,000"), (3000.0, "3,000"), (1e-5, "1e-05"), (1e300, "1e+300"), (None, "\u2014"),
     (float("nan"), "\u2014"), (float("inf"), "\u2014"), ("<b>", "\u2014"), (True, "\u2014")],
)  # fmt: skip
def test_a_figure_has_four_digits_and_what_is_none_is_a_dash(value: object, written: str) -> None:
    assert figure_of(value) == written
