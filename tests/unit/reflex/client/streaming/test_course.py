"""The client's side of a stream on a clock of its own: nothing late is delivered, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.client.streaming.course import StreamCourse
from reflex.client.streaming.errors import RecvTimeoutError
from reflex.errors import InvalidRequestError, TransportError, UnavailableError
from reflex.wire.stream import ReadyFrame
from support.clock import Clock
from support.streams.scripted import READY

DEADLINE_S = 1.0
CUT = TransportError("the connection broke")
NOT_COUNTED = ("sent", "strays", "reconnects")


def opened(clock: Clock) -> StreamCourse:
    course = StreamCourse(DEADLINE_S, clock)
    course.on_opened(cast("ReadyFrame", READY), {"tcp_ms": 1.0})
    return course


def chunk(seq: int) -> Mapping[str, Any]:
    return {"type": "chunk", "seq": seq, "actions": [[0.0]]}


def error(seq: int, code: str, **fields: Any) -> Mapping[str, Any]:
    return {"type": "error", "seq": seq, "error": code, "message": "why", "status": 503, **fields}


def accounted(course: StreamCourse) -> int:
    """Observations in one of the counts."""
    return sum(value for name, value in asdict(course.counts).items() if name not in NOT_COUNTED)


def test_a_chunk_is_delivered_with_its_number_and_its_age() -> None:
    clock = Clock()
    course = opened(clock)
    seq = course.begin()
    clock.now_s += 0.1
    course.on_frame(chunk(seq))
    clock.now_s += 0.2

    delivered = course.take()

    assert delivered is not None
    assert (delivered["seq"], delivered["round_trip_ms"], delivered["age_ms"]) == (1, 100.0, 300.0)
    assert "type" not in delivered
    assert course.take() is None


def test_a_chunk_that_came_after_its_deadline_is_dropped() -> None:
    clock = Clock()
    course = opened(clock)
    seq = course.begin()
    course.on_frame({"type": "news of another version"})
    clock.now_s += DEADLINE_S
    course.on_frame(chunk(seq))

    assert course.take() is None
    assert (course.counts.late, course.counts.delivered) == (1, 0)


def test_a_chunk_that_was_fetched_after_its_deadline_is_dropped() -> None:
    clock = Clock()
    course = opened(clock)
    course.on_frame(chunk(course.begin()))
    clock.now_s += DEADLINE_S

    assert course.take() is None
    assert course.counts.late == 1


def test_a_chunk_is_never_delivered_after_that_of_a_newer_observation() -> None:
    course = opened(Clock())
    first, second = course.begin(), course.begin()
    course.on_frame(chunk(second))
    assert course.take() is not None
    course.on_frame(chunk(first))

    assert course.take() is None
    assert course.counts.stale == 1


def test_of_two_chunks_that_wait_the_newer_is_delivered() -> None:
    course = opened(Clock())
    first, second, third = course.begin(), course.begin(), course.begin()
    for seq in (first, third, second):
        course.on_frame(chunk(seq))

    delivered = course.take()

    assert delivered is not None
    assert delivered["seq"] == third
    assert (course.counts.replaced, course.counts.stale) == (1, 1)


def test_superseded_observations_and_late_ones_are_counted_and_not_raised() -> None:
    course = opened(Clock())
    course.on_frame(error(course.begin(), "superseded", by=2))
    course.on_frame(error(course.begin(), "deadline_exceeded"))

    assert course.take() is None
    assert (course.counts.superseded, course.counts.late) == (1, 1)


def test_a_refusal_is_raised_with_the_number_of_its_observation() -> None:
    course = opened(Clock())
    course.on_frame(error(course.begin(), "queue_full", retry_after_s=0.5, max_queue=3))

    with pytest.raises(UnavailableError) as raised:
        course.take()

    assert (raised.value.code, raised.value.retry_after_s) == ("queue_full", 0.5)
    assert raised.value.context == {"seq": 1, "max_queue": 3}
    assert course.counts.refused == 1


def test_an_error_without_a_number_is_raised_and_counts_nothing() -> None:
    course = opened(Clock())
    course.on_frame({"type": "error", "error": "invalid_json", "message": "why", "status": 400})

    with pytest.raises(InvalidRequestError):
        course.take()
    assert accounted(course) == 0


def test_an_answer_to_nothing_is_a_stray() -> None:
    course = opened(Clock())
    for frame in (chunk(7), error(7, "superseded"), {"type": "chunk", "seq": "one", "actions": []}):
        course.on_frame(frame)

    assert course.take() is None
    assert course.counts.strays == 3


def test_what_is_unanswered_when_the_connection_goes_is_lost_and_said_once_asked() -> None:
    course = opened(Clock())
    course.begin()
    course.on_closed(CUT)

    with pytest.raises(TransportError, match="broke"):
        course.take()
    assert course.counts.lost == 1
    course.on_opened(cast("ReadyFrame", READY), {})
    assert course.take() is None
    assert course.counts.reconnects == 1


def test_a_chunk_that_came_before_the_cut_is_still_delivered() -> None:
    course = opened(Clock())
    course.on_frame(chunk(course.begin()))
    course.on_closed(CUT)

    assert course.take() is not None
    with pytest.raises(TransportError):
        course.take()


def test_silence_until_the_deadline_is_a_dead_connection() -> None:
    clock = Clock()
    course = opened(clock)
    clock.now_s += 5.0
    course.begin()
    clock.now_s += 0.5
    assert course.tick()
    course.pinged(lambda: False)
    clock.now_s += DEADLINE_S - 0.5
    course.tick()
    assert course.take() is None, "something may lie unread"
    clock.now_s = course.wakes_at()
    course.tick()

    with pytest.raises(RecvTimeoutError, match=r"sign of life.*not answered.*tcp_ms") as raised:
        course.take()
    assert (raised.value.is_alive, raised.value.is_answered) == (False, False)
    assert raised.value.open_timing == {"tcp_ms": 1.0}


def test_a_program_that_was_stopped_beyond_the_deadline_reads_before_it_judges() -> None:
    clock = Clock()
    course = opened(clock)
    clock.now_s += 5.0
    seq = course.begin()
    clock.now_s += 3 * DEADLINE_S
    course.tick()
    course.on_frame(chunk(seq))
    clock.now_s += 1.0
    course.tick()

    assert course.take() is None
    assert (course.broken, course.counts.late, course.counts.lost) == (None, 1, 0)


def test_a_pong_keeps_a_connection_whose_model_is_slow() -> None:
    clock = Clock()
    course = opened(clock)
    clock.now_s += 5.0
    course.begin()
    clock.now_s += 0.5
    assert course.tick()
    course.pinged(lambda: True)
    clock.now_s += DEADLINE_S
    course.tick()

    assert course.take() is None
    assert course.counts.late == 1
    told = course.timed_out(30.0)
    assert "no chunk within 30 s" in str(told)
    assert "pings are answered" in str(told)
    assert told.is_alive


def test_a_ping_is_sent_after_a_quarter_of_the_deadline_and_one_at_a_time() -> None:
    clock = Clock()
    course = opened(clock)
    assert not course.tick()
    course.begin()
    assert course.wakes_at() == clock() + DEADLINE_S / 4
    clock.now_s += DEADLINE_S / 4

    assert course.tick()
    assert not course.tick()
    assert course.wakes_at() == clock() + DEADLINE_S / 4
    course.on_frame({"type": "anything"})
    clock.now_s += DEADLINE_S / 4
    assert course.tick()


def test_what_was_not_sent_after_all_is_not_counted() -> None:
    course = opened(Clock())
    course.withdraw(course.begin())

    assert (course.counts.sent, course.outstanding) == (0, 0)
    assert course.begin() == 2


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.just(0)),
        st.tuples(st.sampled_from(["chunk", "superseded", "deadline_exceeded", "queue_full"]), st.integers(0, 12)),
        st.tuples(st.just("advance"), st.integers(0, 12)),
        st.tuples(st.sampled_from(["take", "tick", "closed", "opened"]), st.just(0)),
    ),
    max_size=60,
)


@pytest.mark.slow
@given(STEPS)
def test_every_observation_is_accounted_for_and_none_is_delivered_late_or_out_of_order(
    steps: list[tuple[str, int]],
) -> None:
    clock = Clock()
    course = opened(clock)
    sent_at: dict[int, float] = {}
    delivered = [0]
    for step, number in steps:
        if step == "begin":
            sent_at[course.begin()] = clock()
        elif step == "advance":
            clock.now_s += number / 8
        elif step == "chunk":
            course.on_frame(chunk(number))
        elif step == "tick" and course.tick():
            course.pinged(lambda: False)
        elif step == "closed":
            course.on_closed(CUT)
        elif step == "opened":
            course.on_opened(cast("ReadyFrame", READY), {})
        elif step == "take":
            try:
                got = course.take()
            except (TransportError, UnavailableError):
                continue
            if got is not None:
                assert got["seq"] > delivered[-1]
                assert clock() - sent_at[got["seq"]] < DEADLINE_S
                delivered.append(got["seq"])
        elif step != "tick":
            course.on_frame(error(number, step))
        assert course.counts.sent == accounted(course) + course.outstanding == len(sent_at)
