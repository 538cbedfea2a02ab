from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from reflex.cli import app
from reflex.cli.connect.keys import HELP, marked_by_keys
from reflex.connector.marks import EpisodeMarks
from support.waiting import wait_until


@pytest.fixture
def fingers(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is written there is typed at the terminal."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield ours
    os.close(ours)


def test_keys_begin_episodes_and_say_how_they_ended_at_once(fingers: int) -> None:
    marks, said = EpisodeMarks(), list[str]()
    before = termios.tcgetattr(sys.stdin)
    with marked_by_keys(marks, said.append):
        for key in b"sbsbFbx":
            count = len(said)
            os.write(fingers, bytes([key]))
            wait_until(lambda count=count: len(said) > count, "the key is heard without Enter")  # type: ignore[misc]
        assert marks.is_open
    assert said == [
        HELP, "no episode is open: press b first", "the episode begins", "success; press b for the next one",
        "the episode begins", "no success; press b for the next one", "the episode begins", HELP,
        "episodes: 1 successes, 1 failures, 0 of which nobody said",
    ]  # fmt: skip
    assert termios.tcgetattr(sys.stdin) == before, "the terminal is as it was"


def test_without_a_terminal_nobody_can_press_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing, monkeypatch.context() as patched:  # noqa: PTH123
        patched.setattr(sys, "stdin", nothing)
        with pytest.raises(typer.BadParameter, match="needs a terminal"), marked_by_keys(EpisodeMarks(), print):
            pass


@pytest.mark.parametrize("beside", [("--resume",), ("--episodes", "3")])
def test_one_terminal_is_not_asked_and_listened_to_at_once(beside: tuple[str, ...]) -> None:
    went = CliRunner().invoke(app, ["connect", "--mark-episodes", *beside])
    assert went.exit_code == 2
    assert "cannot be given with --resume or --episodes" in went.output.replace("│", "").replace("\n", " ")
