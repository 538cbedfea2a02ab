"""Two pieces of work at once: results in order, and no end without the other's."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

import pytest

from reflex_export.side_by_side import StopAsked, side_by_side

GoOn = Callable[[], None]

WAIT_S = 10.0


def until_stopped(go_on: GoOn) -> None:
    """Work without an end of its own."""
    waiting = threading.Event()
    while True:
        go_on()
        waiting.wait(0.001)


def test_results_are_in_the_order_of_the_works_whichever_ends_first() -> None:
    second_is_over = threading.Event()

    def first(_go_on: GoOn) -> str:
        assert second_is_over.wait(WAIT_S), "both must be at work at once"
        return "first"

    def second(_go_on: GoOn) -> str:
        second_is_over.set()
        return "second"

    assert side_by_side([first, second, lambda _: "third"]) == ["first", "second", "third"]
    assert side_by_side([]) == []


def test_a_failure_stops_the_others_and_is_what_the_caller_hears() -> None:
    begun: list[str] = []

    def fail(_go_on: GoOn) -> None:
        raise OSError(28, "No space left on device")

    def late(go_on: GoOn) -> None:
        go_on()
        begun.append("late")

    with pytest.raises(OSError, match="No space left"):
        side_by_side([until_stopped, fail, until_stopped, late])
    assert begun == []


def test_an_interrupt_stops_them_all_and_leaves_no_thread() -> None:
    before = threading.active_count()

    def interrupt(go_on: GoOn) -> None:
        _thread.interrupt_main()
        until_stopped(go_on)

    with pytest.raises(KeyboardInterrupt):
        side_by_side([interrupt, until_stopped])
    assert threading.active_count() == before


def test_who_is_told_to_stop_hears_it_as_no_failure_of_his_own() -> None:
    heard: list[type[BaseException]] = []

    def listen(go_on: GoOn) -> None:
        try:
            until_stopped(go_on)
        except StopAsked as exc:
            heard.append(type(exc))

    def fail(_go_on: GoOn) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the one above
        side_by_side([listen, fail])
    assert heard == [StopAsked]
