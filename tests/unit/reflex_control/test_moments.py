"""Moments are milliseconds since 1970, and stand in answers as ISO 8601."""

from __future__ import annotations

from reflex_control.moments import DAY_MS, iso_or_none, now_ms


def test_a_moment_that_is_not_there_stays_none() -> None:
    assert iso_or_none(None) is None
    assert iso_or_none(DAY_MS) == "1970-01-02T00:00:00.000Z"


def test_the_time_of_day_is_in_milliseconds() -> None:
    assert len(str(now_ms())) == 13
