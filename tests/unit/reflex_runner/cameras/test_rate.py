"""A camera's rate is that of its dates, and none when no picture comes."""

from __future__ import annotations

import pytest

from reflex_runner.cameras.rate import Rate


def test_it_is_measured_from_the_second_picture_on() -> None:
    rate = Rate()
    assert rate.hz(0.0) is None
    rate.note(10.0)
    assert rate.hz(10.0) is None
    for number in range(1, 100):
        rate.note(10.0 + number / 30)
    assert rate.hz(10.0 + 99 / 30) == pytest.approx(30)


def test_it_is_nothing_when_no_picture_comes_and_begins_anew_after_a_pause() -> None:
    rate = Rate()
    rate.note(0.0)
    rate.note(0.1)
    assert rate.hz(2.2) == 0.0
    rate.note(100.0)
    assert rate.hz(100.0) is None
    rate.note(100.05)
    assert rate.hz(100.05) == pytest.approx(20)
