"""What a command says on stderr is logged line by line, cut and counted where it is too much, and its end is known."""

from __future__ import annotations

import os

import pytest

from reflex_runner.connectors.commands.words import LINE_BYTES, LINES_A_SECOND, Words
from support.leftovers import leaves_no_descriptor, leaves_no_thread


def heard(text: bytes, caplog: pytest.LogCaptureFixture, *, is_open: bool = False) -> tuple[str, list[str]]:
    """The last words, and all messages; `is_open` leaves the pipe with a writer, as a grandchild does."""
    with leaves_no_thread(), leaves_no_descriptor(), caplog.at_level("DEBUG", "reflex.commands"):
        reading, writing = os.pipe()
        words = Words(reading, "observe")
        os.write(writing, text)
        if not is_open:
            os.close(writing)
        last = words.end()
        if is_open:
            os.close(writing)
    return last, caplog.messages


@pytest.mark.parametrize("is_open", [False, True])
def test_each_line_is_logged_and_the_last_is_known(is_open: bool, caplog: pytest.LogCaptureFixture) -> None:
    last, logged = heard(b"one\n\n two\xff\x1b[2J\nand no end", caplog, is_open=is_open)

    assert logged == ["observe: one", r"observe:  two\xff\x1b[2J", "observe: and no end"]
    assert last == "and no end"


def test_a_line_without_end_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    last, _ = heard(b"x" * 50_000, caplog)

    assert last == "x" * LINE_BYTES


def test_a_flood_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    last, logged = heard(b"".join(b"%d\n" % number for number in range(5_000)), caplog)

    assert last == "4999"
    assert LINES_A_SECOND <= len(logged) < 5_000
