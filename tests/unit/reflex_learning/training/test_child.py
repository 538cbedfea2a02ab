"""A child is heard to its last word, and nothing of it is left, however it defends itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex.processes.family import Family
from reflex_learning.errors import TrainingError
from reflex_learning.training.child import DESCRIPTOR, Child, Outlets
from support.leftovers import leaves_no_descriptor, leaves_no_thread, living_of_group
from support.waiting import wait_until


class Heard:
    def __init__(self) -> None:
        self.words = b""
        self.data = b""

    def outlets(self) -> Outlets:
        return Outlets(self._hear, self._take)

    def _hear(self, piece: bytes) -> None:
        self.words += piece

    def _take(self, piece: bytes) -> None:
        self.data += piece


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family()
    yield made
    made.end()


def child(program: str, family: Family, heard: Heard, *more: str) -> Child:
    return Child([sys.executable, "-c", program, *more], os.environ, Path.cwd(), family, heard.outlets())


def code_of(started: Child) -> int:
    wait_until(lambda: started.wait(0.1) is not None, "its end")
    found = started.wait(0.1)
    assert found is not None
    return found


def test_its_words_and_its_data_are_told_apart(family: Family) -> None:
    heard = Heard()
    with leaves_no_descriptor(), leaves_no_thread():
        started = child("import sys; print('data'); print('words', file=sys.stderr); sys.exit(3)", family, heard)
        assert code_of(started) == 3

    assert (heard.data, heard.words) == (b"data\n", b"words\n")


def test_data_may_come_through_a_pipe_of_their_own(family: Family) -> None:
    heard = Heard()
    program = "import os, sys; print('out'); sys.stdout.flush(); os.write(int(sys.argv[1]), b'data')"
    assert code_of(child(program, family, heard, DESCRIPTOR)) == 0

    assert (heard.data, heard.words) == (b"data", b"out\n")


@pytest.mark.slow
@pytest.mark.parametrize("deaf", [False, True])
def test_nothing_of_its_group_is_left(family: Family, deaf: bool) -> None:
    heard = Heard()
    program = (
        "import os, signal, sys, time\n"
        f"if {deaf}: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0: os.setsid()\n"
        "os.write(1, b'.'); time.sleep(600)"
    )
    started = child(program, family, heard)
    wait_until(lambda: heard.data == b"..", "both run")
    started.end()

    assert living_of_group(started.pid) == []
    assert started.wait(0.0) in (-15, -9)


def test_a_program_that_is_not_there_is_said(family: Family) -> None:
    with leaves_no_descriptor(), pytest.raises(TrainingError, match="reflex training setup"):
        Child(["/not/there"], {}, Path.cwd(), family, Heard().outlets())
