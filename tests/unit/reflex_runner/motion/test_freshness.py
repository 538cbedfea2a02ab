"""Hold when no chunk is younger than hold_after, stop when it is as old as stop_after: to the millisecond."""

from __future__ import annotations

import math

import pytest

from reflex.errors import SetupError
from reflex_runner.motion.freshness import Freshness, freshness_of
from support.runner.arms import HOLDS


@pytest.mark.parametrize(
    ("age_s", "judgement"),
    [(0.0, "fresh"), (0.1999, "fresh"), (0.2, "hold"), (0.9999, "hold"), (1.0, "stop"), (math.inf, "stop")],
)
def test_a_chunk_is_judged_by_its_age(age_s: float, judgement: str) -> None:
    assert Freshness(0.2, 1.0).judge(age_s) == judgement


def test_an_age_that_is_not_a_number_stops() -> None:
    assert Freshness(0.2, 1.0).judge(math.nan) == "stop"


def test_the_settings_say_and_else_the_stop_ladder() -> None:
    assert freshness_of(HOLDS) == Freshness(0.25, 1.0)
    assert freshness_of(HOLDS, hold_after_ms=500) == Freshness(0.5, 1.0)
    assert freshness_of(HOLDS, stop_after_ms=300) == Freshness(0.25, 0.3)


@pytest.mark.parametrize(("hold", "stop"), [(0, 1000), (-1, 1000), (1000, 1000), (1200, 1000), (200, 60_001)])
def test_a_hold_that_would_not_come_before_the_stop_is_refused(hold: int, stop: int) -> None:
    with pytest.raises(SetupError, match=f"hold_after_ms .{hold}. must be above 0 and below stop_after_ms .{stop}"):
        freshness_of(HOLDS, hold, stop)


def test_the_latest_stop_is_after_a_minute() -> None:
    assert freshness_of(HOLDS, 200, 60_000) == Freshness(0.2, 60.0)


def test_times_that_are_no_numbers_are_refused() -> None:
    for times in ((math.nan, 1.0), (0.2, math.nan)):
        with pytest.raises(SetupError):
            Freshness(*times)
