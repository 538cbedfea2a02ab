"""The side that writes: it makes episodes of what a run's process sends, until that one ends or is killed."""

from __future__ import annotations

import json
import logging
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from reflex.embodiments import check_embodiment
from reflex.errors import SetupError
from reflex_runner.recording.entries import unpacked
from reflex_runner.recording.episodes import Episodes, moment_of
from reflex_runner.recording.facts import PolicyFacts, RunFacts
from reflex_runner.recording.formats.choosing import begin_formats
from reflex_runner.recording.formats.interface import Run
from reflex_runner.recording.messages import Words, receive
from reflex_runner.recording.moments import Moments
from reflex_runner.recording.outlets import Outlets
from reflex_runner.recording.waiting_line import Marker

__all__ = ["BEGIN", "FAREWELL", "REFUSED", "News", "Say", "write_recording"]

BEGIN, REFUSED, FAREWELL = "begin", "refused", "farewell"
"""What is said besides entries."""
FLUSH_S: Final = 0.05
LOOK_AT_DISK_S: Final = 2.0

log = logging.getLogger("reflex.recording")
News = Mapping[str, Any]
"""What whoever writes tells the run: `ready`, `failed`, `lost` and `problems`, `log`, `done`."""
Say = Callable[[News], None]


def write_recording(line: socket.socket, say: Say, when_ready: Callable[[], None] = lambda: None) -> None:
    """All of one recording. Says `failed` or `ready` first, and `done` at last."""
    try:
        words, _ = receive(line)
        writing = _Writing(words, say)
    except EOFError:
        return
    except SetupError as exc:
        say({"failed": str(exc)})
        return
    say({"ready": True})
    when_ready()
    writing.write(line)
    say({"done": True})


class _Writing:
    def __init__(self, words: Words, say: Say) -> None:
        run = _run_of(words)
        self._say = say
        self._outlets = Outlets(begin_formats(words["formats"], run))
        self._refused: Counter[str] = Counter()
        self._episodes = Episodes(
            run,
            self._outlets,
            self._refused,
            wanted=None if words["wanted"] is None else Marker(**words["wanted"]),
            keep_free_bytes=words["keep_free_bytes"],
        )
        self._end_s: float | None = None
        self._newest_s = 0.0
        """When the newest that was told was measured: the run may have a clock of its own."""
        self._said: News = self._state()
        self._has_failed = False

    def write(self, line: socket.socket) -> None:
        """Until the other side says farewell, or is gone."""
        flush_s = look_s = time.monotonic()
        while self._end_s is None:
            if select.select([line], [], [], FLUSH_S)[0] and not self._take(line):
                break
            now_s = time.monotonic()
            if now_s >= flush_s:
                flush_s = now_s + FLUSH_S
                self._guarded(self._episodes.flush)
            if now_s >= look_s:
                look_s = now_s + LOOK_AT_DISK_S
                self._guarded(partial(self._episodes.look_at_disk, self._newest_s))
            self._tell()
        self._finish()

    def _take(self, line: socket.socket) -> bool:
        try:
            words, contents = receive(line)
        except (EOFError, OSError):
            return False
        self._guarded(partial(self._do, words, contents))
        return True

    def _do(self, words: Words, contents: list[bytearray]) -> None:
        if words["kind"] == FAREWELL:
            self._end_s = words["at_s"]
        elif words["kind"] == REFUSED:
            self._refused.update(words["counts"])
        else:
            entry = unpacked(words, contents)
            self._newest_s = max(self._newest_s, moment_of(entry.what))
            self._episodes.add(entry)

    def _finish(self) -> None:
        self._guarded(self._episodes.flush)
        if self._end_s is None:
            self._guarded(partial(self._episodes.close, self._newest_s, reason="killed"))
        else:
            self._guarded(partial(self._episodes.close, self._end_s))
        self._tell()

    def _state(self) -> News:
        disk = {"disk": "nearly full"} if self._episodes.is_full else {}
        return {"lost": dict(self._episodes.lost), "problems": dict(self._outlets.problems) | disk}

    def _tell(self) -> None:
        state = self._state()
        if state != self._said:
            self._said = state
            self._say(state)

    def _guarded(self, work: Callable[[], None]) -> None:
        """The boundary of the process: it lives on, and what failed is said once."""
        try:
            work()
        except Exception:
            log.log(logging.DEBUG if self._has_failed else logging.ERROR, "the recorder failed", exc_info=True)
            self._has_failed = True


def _run_of(words: Words) -> Run:
    """As it was told; the header has the facts as well, but not all as they were given."""
    given = words["facts"]
    cameras = None if given["cameras"] is None else tuple(given["cameras"])
    embodiment = check_embodiment(json.dumps(given["embodiment"]).encode())
    told = {**given, "embodiment": embodiment, "policy": PolicyFacts(**given["policy"]), "cameras": cameras}
    return Run(Path(words["folder"]), RunFacts(**told), Moments(**words["moments"]), words["header"])
