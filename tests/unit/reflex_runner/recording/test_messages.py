"""Words and bytes arrive as they were sent, and a side that is gone is noticed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from reflex_runner.recording.messages import receive, send
from support.waiting import HANGS_S

Lines = tuple[socket.socket, socket.socket]


@pytest.fixture
def lines() -> Iterator[Lines]:
    one, other = socket.socketpair()
    other.settimeout(HANGS_S)
    with one, other:
        yield one, other


@pytest.mark.parametrize(
    "contents",
    [[], [b""], [b"\n", b"\x00"], [b"x" * 5000], [b"a", b"", b"y" * 3_000_000, memoryview(b"z" * 9)]],
    ids=["none", "empty", "short", "long", "mixed"],
)
def test_words_and_bytes_arrive_as_they_were_sent(lines: Lines, contents: list[bytes]) -> None:
    words = {"kind": "tick", "text": "\ud800 ü\n", "late": float("inf"), "of_numpy": np.float32(1.5), "odd": {1}}
    sending = threading.Thread(target=send, args=(lines[0], words, contents))
    sending.start()
    told, found = receive(lines[1])
    sending.join()

    assert found == contents
    assert told == {"kind": "tick", "text": "\ud800 ü\n", "late": float("inf"), "of_numpy": 1.5, "odd": "{1}"}


@pytest.mark.parametrize("kept_bytes", [0, 2, 10, 40])
def test_a_side_that_is_gone_is_noticed_between_messages_and_in_the_midst_of_one(lines: Lines, kept_bytes: int) -> None:
    send(lines[0], {"kind": "tick"}, [b"x" * 20])
    whole = lines[1].recv(1000)
    lines[0].sendall(whole[:kept_bytes])
    lines[0].close()
    with pytest.raises(EOFError):
        receive(lines[1])


def test_who_sends_hears_that_nobody_takes_it(lines: Lines) -> None:
    lines[1].close()
    with pytest.raises(OSError, match="Broken pipe"):
        send(lines[0], {"kind": "tick"})
