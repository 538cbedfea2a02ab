"""Sessions that ended are known as long as a credential of theirs could be good, and never fill the memory."""

from __future__ import annotations

import pytest

from reflex_frontend.callers import ended
from reflex_frontend.callers.ended import KEPT_S, EndedSessions
from support.clock import Clock, clock

__all__ = ["clock"]

LIFE_S = 120.0


def test_a_session_is_known_to_have_ended_for_as_long_as_its_credential_lives(clock: Clock) -> None:
    sessions = EndedSessions(clock)
    sessions.note("sess_1")
    clock.now_s += LIFE_S
    sessions.note("sess_2")

    assert "sess_1" in sessions
    assert "sess_2" in sessions
    assert "sess_3" not in sessions


def test_one_that_ended_long_ago_is_forgotten_when_another_ends(clock: Clock) -> None:
    sessions = EndedSessions(clock)
    sessions.note("sess_1")
    clock.now_s += KEPT_S + 1
    sessions.note("sess_2")

    assert "sess_1" not in sessions
    assert "sess_2" in sessions


def test_who_is_said_to_have_ended_again_is_kept_from_then_on(clock: Clock) -> None:
    sessions = EndedSessions(clock)
    for _ in range(3):
        sessions.note("sess_1")
        clock.now_s += KEPT_S - 1
        sessions.note("other")

    assert "sess_1" in sessions


def test_beyond_the_bound_those_that_ended_first_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "MOST", 3)
    sessions = EndedSessions(clock)
    for number in range(5):
        sessions.note(f"sess_{number}")

    assert [f"sess_{number}" in sessions for number in range(5)] == [False, False, True, True, True]


def test_of_those_beyond_the_bound_one_that_ended_anew_is_not_the_first(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "MOST", 2)
    sessions = EndedSessions(clock)
    for name in ("sess_1", "sess_2", "sess_1", "sess_3"):
        sessions.note(name)

    assert [name in sessions for name in ("sess_1", "sess_2", "sess_3")] == [True, False, True]
