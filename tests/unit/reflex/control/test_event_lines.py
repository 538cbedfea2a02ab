"""Events are read as they were sent, in whatever pieces they come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.control.event_lines import MAX_EVENT_BYTES, Event, EventLines

STREAM = (
    b": hello\n\nid: 7\n\nevent: session\ndata: {\ndata: }\nid: 8\n\n"
    b"data:x\r\n\r\nevent: empty\r\rretry: 5\rid: 9\rdata: caf\xc3\xa9\r\rdata: not whole"
)
EVENTS = [Event("session", "{\n}"), Event("message", "x"), Event("message", "café")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_however_a_stream_is_cut_its_events_are_the_same(cuts: list[int]) -> None:
    lines, places = EventLines(), sorted([0, *cuts, len(STREAM)])

    events = [event for begin, end in itertools.pairwise(places) for event in lines.feed(STREAM[begin:end])]

    assert events == EVENTS
    assert lines.last_id == "9"


def test_the_id_counts_with_the_end_of_its_event_and_without_data_too() -> None:
    lines = EventLines("3")
    lines.feed(b"id: 4\ndata: x\n")
    assert lines.last_id == "3"
    lines.feed(b"\n")
    assert lines.last_id == "4"
    lines.feed(b"id: 5\n\n")
    assert lines.last_id == "5"


@pytest.mark.parametrize("wrong", [b"a\0b", b"caf\xc3\xa9", b"x" * 300])
def test_an_id_that_no_header_can_carry_is_not_kept(wrong: bytes) -> None:
    lines = EventLines("3")
    lines.feed(b"id: " + wrong + b"\ndata: x\n\n")
    assert lines.last_id == "3"


@pytest.mark.parametrize("piece", [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n"])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    lines = EventLines()
    for _ in range(MAX_EVENT_BYTES // 1010):
        assert lines.feed(piece) == []
    with pytest.raises(ValueError, match="64 KiB"):
        lines.feed(piece * 3)


def test_an_event_of_empty_lines_without_end_is_refused() -> None:
    lines = EventLines()
    assert lines.feed(b"data:\n" * MAX_EVENT_BYTES) == []
    with pytest.raises(ValueError, match="64 KiB"):
        lines.feed(b"data:\n")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        EventLines().feed(b"data: \xff\n\n")
