"""A server that says nothing: it is found out when it is dead, and one that works for long is not taken for it."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest.mock import Mock

import pytest

from reflex_frontend.triton.http2.silence import SilenceWatch


@dataclass
class Told:
    """A watch on a clock of the test's, and what it said when."""

    watch: SilenceWatch = field(init=False)
    now_s: float = 1_000.0
    answers: bool = True
    has_calls: bool = True
    said: list[tuple[str, float]] = field(default_factory=list)
    _timers: list[tuple[float, Mock, Callable[[], None]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now_s

    def call_later(self, seconds: float, act: Callable[[], None]) -> Mock:
        handle = Mock(spec=TimerHandle)
        self._timers.append((self.now_s + seconds, handle, act))
        return handle

    def until(self, second: float) -> None:
        """Lets what is due by then happen; seconds since the test began."""
        while due := [each for each in self._timers if each[0] <= 1_000 + second and not each[1].cancel.called]:
            self.now_s, handle, act = min(due, key=lambda each: each[0])
            self._timers = [each for each in self._timers if each[1] is not handle]
            act()
        self.now_s = 1_000.0 + second

    def ping(self) -> None:
        self.said.append(("ping", self.now_s - 1_000))
        if self.answers:
            self._timers.append((self.now_s, Mock(spec=TimerHandle), self.watch.hear))

    def end(self, silent_s: float) -> None:
        self.said.append((f"silent for {silent_s:g}", self.now_s - 1_000))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: told)
    told.watch = SilenceWatch(told.ping, told.end, lambda: told.has_calls)
    return told


@pytest.mark.parametrize("has_calls", [True, False], ids=["open", "given up"])
def test_who_says_nothing_is_asked_after_10_s_and_has_5_s_for_its_answer(told: Told, *, has_calls: bool) -> None:
    told.answers, told.has_calls = False, has_calls
    told.watch.expect()
    told.until(9)
    told.watch.expect()  # postpones nothing
    told.until(14.9)
    assert told.said == [("ping", 10)]
    told.until(1_000)
    assert told.said == [("ping", 10), ("silent for 15", 15)]


def test_who_works_for_long_is_asked_twice_for_each_call_and_seldom_after_that(told: Told) -> None:
    told.watch.expect()
    told.until(700)
    assert told.said == [("ping", 10), ("ping", 20), ("ping", 350), ("ping", 680)]
    told.watch.allow_pings()
    told.until(1_000)
    assert told.said[4:] == [("ping", 710), ("ping", 720)]


def test_silence_begins_with_what_came_last(told: Told) -> None:
    told.watch.expect()
    told.until(7)
    told.watch.hear()
    told.until(19)
    assert told.said == [("ping", 17)]


def test_an_answer_in_time_is_an_answer(told: Told) -> None:
    told.answers = False
    told.watch.expect()
    told.until(14)
    told.watch.hear()
    told.until(23.9)
    assert told.said == [("ping", 10)]
    told.until(24)
    assert told.said == [("ping", 10), ("ping", 24)]


def test_nobody_is_asked_while_nothing_is_expected(told: Told) -> None:
    told.has_calls = False
    told.watch.expect()
    told.watch.hear()
    told.until(100)
    assert told.said == []
    told.watch.expect()
    told.until(111)
    assert told.said == [("ping", 110)]


def test_who_stops_watching_hears_no_more(told: Told) -> None:
    told.watch.stop()
    told.watch.expect()
    told.until(12)
    told.watch.stop()
    told.until(1_000)
    assert told.said[:1] == [("ping", 10)]
    assert len(told.said) == 1
