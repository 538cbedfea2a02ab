"""When single failures become a state."""

from __future__ import annotations

import pytest

from reflex_frontend.policy.outcomes import Outcomes


@pytest.mark.parametrize(
    ("outcomes", "are_bad"),
    [
        ("", False),
        ("----", False),
        ("-----", True),
        ("+-----", True),
        ("----+", False),
        ("-----+", False),
        ("----+----", False),
        ("+-" * 9 + "-", False),
        ("+-" * 10, False),
        ("+-" * 9 + "--", True),
        ("--" + "+-" * 9 + "+", False),
    ],
)
def test_five_in_a_row_or_more_than_half_of_twenty_are_a_state(outcomes: str, are_bad: bool) -> None:
    told = Outcomes()
    for each in outcomes:
        told.add(is_good=each == "+")
    assert told.are_bad is are_bad


def test_what_is_forgotten_counts_no_more() -> None:
    told = Outcomes()
    for _ in range(5):
        told.add(is_good=False)
    told.forget()
    for _ in range(4):
        told.add(is_good=False)
    assert not told.are_bad
