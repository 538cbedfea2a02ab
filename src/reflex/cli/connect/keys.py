"""Keys at the terminal by which somebody who sees the robot marks episodes: b begins, s and f say how it ended."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from reflex.connector.marks import EpisodeMarks

__all__ = ["HELP", "marked_by_keys"]

HELP: Final = "b: an episode begins, s: it was a success, f: it was none; only what lies between is recorded"
LOOK_S: Final = 0.1


@contextmanager
def marked_by_keys(marks: EpisodeMarks, say: Callable[[str], None]) -> Iterator[None]:
    """Inside, a thread reads single keys; Ctrl-C stops the robot as ever."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("needs a terminal, at which somebody who sees the robot presses keys",
                                 param_hint="--mark-episodes")  # fmt: skip
    over = threading.Event()
    thread = threading.Thread(target=_listen, args=(marks, say, over), name="reflex-keys", daemon=True)
    with _single_keys(sys.stdin.fileno()):
        say(HELP)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    say(f"episodes: {marks.successes} successes, {marks.failures} failures, {marks.others} of which nobody said")


@contextmanager
def _single_keys(terminal: int) -> Iterator[None]:
    """Each key comes at once and is not shown; signals stay what they are."""
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _listen(marks: EpisodeMarks, say: Callable[[str], None], over: threading.Event) -> None:
    while not over.is_set():
        if select.select([sys.stdin], [], [], LOOK_S)[0]:
            key = sys.stdin.read(1)
            if not key:
                return  # the terminal is gone
            say(_pressed(marks, key.lower()))


def _pressed(marks: EpisodeMarks, key: str) -> str:
    if key == "b":
        marks.begin()
        return "the episode begins"
    if key not in ("s", "f"):
        return HELP
    if not marks.end(key == "s"):
        return "no episode is open: press b first"
    return f"{'success' if key == 's' else 'no success'}; press b for the next one"
