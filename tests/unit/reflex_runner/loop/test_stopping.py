"""Whoever wants the run to stop says so once; Ctrl-C and SIGTERM are such requests, and the handlers are put back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reflex_runner.loop.stopping import TERMINATED, StopRequests, heard
from reflex_runner.motion.descent import StopCause
from support.waiting import wait_until


def test_the_first_cause_stays() -> None:
    stops = StopRequests()
    first = StopCause("first", "")
    stops.request(first)
    stops.request(StopCause("second", ""))
    assert stops.cause is first


def test_who_lets_the_run_go_on_forgets_the_cause() -> None:
    stops = StopRequests()
    stops.interrupt()
    stops.interrupt()
    stops.forget(stops.cause)
    assert (stops.cause, stops.is_cut_short) == (None, False)


@pytest.mark.parametrize("kind", ["end", "fault", "operator"])
def test_what_came_after_the_stop_that_is_forgotten_is_obeyed(kind: Any) -> None:
    stops, later = StopRequests(), StopCause("later", "", kind)
    stops.request(later)
    stops.forget(StopCause("stale_chunk", "the control loop's own"))
    assert stops.cause is later


@pytest.mark.parametrize(
    ("kind", "ended_by"), [("end", "stale_chunk"), ("fault", "stale_chunk"), ("operator", "later")]
)
def test_a_run_ended_by_what_it_stopped_for_but_for_an_operators_word(kind: Any, ended_by: str) -> None:
    stops = StopRequests()
    stops.request(StopCause("later", "", kind))
    stops.conclude(StopCause("stale_chunk", "the control loop's own"))
    assert stops.cause is not None
    assert stops.cause.code == ended_by


def test_ctrl_c_is_a_request_and_the_second_cuts_the_ladder_short() -> None:
    stops, before = StopRequests(), signal.getsignal(signal.SIGINT)
    with heard(stops):
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: stops.cause, "it is heard")
        assert stops.cause is not None
        assert (stops.cause.code, stops.cause.kind, stops.is_cut_short) == ("interrupted", "operator", False)
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: stops.is_cut_short, "the second is heard")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_during_another_stop_cuts_that_short() -> None:
    stops = StopRequests()
    stops.request(StopCause("stale_chunk", ""))
    stops.interrupt()
    assert stops.is_cut_short


def test_sigterm_is_a_request() -> None:
    stops, before = StopRequests(), signal.getsignal(signal.SIGTERM)
    with heard(stops):
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: stops.cause, "it is heard")
        assert stops.cause is not None
        assert (stops.cause.code, stops.is_cut_short) == ("terminated", False)
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_signals_stay_as_they_are() -> None:
    def use() -> None:
        with heard(StopRequests()):
            seen.append(signal.getsignal(signal.SIGINT))

    seen: list[object] = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


@pytest.mark.parametrize("said", [StopRequests.interrupt, lambda stops: stops.request(TERMINATED)])
def test_an_operator_goes_before_an_end_after_which_another_run_might_begin(
    said: Callable[[StopRequests], object],
) -> None:
    stops = StopRequests()
    stops.request(StopCause("promoted", "the session was promoted; the run begins anew", "end"))
    said(stops)
    stops.request(StopCause("promoted", "the session was promoted; the run begins anew", "end"))
    assert stops.cause is not None
    assert stops.cause.kind == "operator"
