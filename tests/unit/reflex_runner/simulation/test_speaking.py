from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex_runner.simulation.speaking import LENGTH, MOST_BYTES, call, hear, speak, stop_arm
from support.waiting import HANGS_S


@pytest.fixture
def lines() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    for line in (one, other):
        line.settimeout(HANGS_S)
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00" * 3_000_000, b'{"do": 1}\n'])
def test_words_and_bytes_arrive_as_they_were_sent(lines: tuple[socket.socket, socket.socket], content: bytes) -> None:
    sending = threading.Thread(target=speak, args=(lines[0], {"do": "look", "n": 1.5}, content))
    sending.start()
    assert hear(lines[1]) == ({"do": "look", "n": 1.5}, content)
    sending.join()


def test_one_message_after_another_and_then_the_end(lines: tuple[socket.socket, socket.socket]) -> None:
    speak(lines[0], {"n": 1})
    speak(lines[0], {"n": 2}, b"two")
    lines[0].close()
    assert [hear(lines[1])[0]["n"] for _ in range(2)] == [1, 2]
    with pytest.raises(EOFError):
        hear(lines[1])


def test_a_length_that_is_none_is_not_waited_for(lines: tuple[socket.socket, socket.socket]) -> None:
    lines[0].sendall(LENGTH.pack(MOST_BYTES + 1))
    with pytest.raises(OSError, match="none of a simulated arm"):
        hear(lines[1])


def test_a_call_waits_for_its_answer(lines: tuple[socket.socket, socket.socket]) -> None:
    answering = threading.Thread(target=lambda: speak(lines[1], {"heard": hear(lines[1])[0]}))
    answering.start()
    assert call(lines[0], {"do": "x"})[0] == {"heard": {"do": "x"}}
    answering.join()


def test_the_watchdog_is_told_when_there_is_no_arm_or_no_such_rung(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        stop_arm("hold", str(tmp_path / "arm"))
    with pytest.raises(ValueError, match="cannot release"):
        stop_arm("release", str(tmp_path / "arm"))
