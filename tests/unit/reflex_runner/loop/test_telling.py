"""Everybody who listens is told everything, and nobody who listens can disturb the run."""

from __future__ import annotations

import logging

import pytest

from reflex.connector import Observation
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.loop.telling import Telling
from reflex_runner.tick import Tick
from support.runner.arms import chunk, pose
from support.runner.world import Told


def test_every_listener_is_told_everything() -> None:
    both = [Told(), Told()]
    telling = Telling(both, SYSTEM_CLOCK)
    telling.observed(3, Observation(pose(0, 0)))
    telling.answered(chunk(pose(0, 0), 1.0))
    telling.ticked(Tick(0, 0.0, "wait"))
    telling.note("warning", "slow", "the server is slow")
    for told in both:
        assert told.observations == [3]
        assert (len(told.chunks), len(told.ticks)) == (1, 1)
        assert [(event.level, event.code, event.message) for event in told.events] == [
            ("warning", "slow", "the server is slow")
        ]


def test_one_that_fails_is_told_nothing_more_and_the_others_are(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Told):
        calls = 0

        def ticked(self, tick: Tick) -> None:
            self.calls += 1
            raise ValueError(tick.kind)

    faulty, sound = Faulty(), Told()
    telling = Telling([faulty, sound], SYSTEM_CLOCK)
    with caplog.at_level(logging.ERROR, "reflex.runner"):
        telling.ticked(Tick(0, 0.0, "wait"))
        telling.ticked(Tick(1, 0.0, "wait"))
    assert (faulty.calls, len(sound.ticks)) == (1, 2)
    assert "Faulty is told nothing more of this run" in caplog.text


def test_an_event_is_logged_by_its_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "reflex.runner"):
        telling = Telling([], SYSTEM_CLOCK)
        telling.note("error", "bus", "motor 3 is silent")
        assert caplog.records == [], "the control loop waits for no log"
        telling.log()
        telling.log()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "bus: motor 3 is silent")
    ]
