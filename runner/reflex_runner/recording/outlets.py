"""The formats of a recording side by side: one that fails rests until the next episode, and the others go on."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial

from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Format

__all__ = ["Outlets"]

log = logging.getLogger("reflex.recording")


class Outlets:
    """What every open episode of every format is told. Nothing raises here."""

    def __init__(self, formats: Mapping[str, Format]) -> None:
        self._formats = formats
        self._open: dict[str, EpisodeWriter] = {}
        self.problems: dict[str, str] = {}
        """By format, what went wrong last; empty while all is well."""

    def begin(self, episode: EpisodeStart) -> None:
        """An episode in every format; one that had failed is tried again."""
        for name, format_ in self._formats.items():
            self._guarded(name, partial(self._open_one, name, format_, episode))

    def tell(self, what: Callable[[EpisodeWriter], None]) -> None:
        """The same to each."""
        for name, episode in list(self._open.items()):
            self._guarded(name, partial(what, episode))

    def end(self, end: EpisodeEnd) -> dict[str, str]:
        """By format how it went: `whole`, or what went wrong."""
        went = dict(self.problems)
        for name, episode in list(self._open.items()):
            if self._guarded(name, partial(episode.finish, end)):
                self.problems.pop(name, None)
            went[name] = self.problems.get(name, "whole")
        self._open.clear()
        return went

    def close(self) -> None:
        """No episode is open."""
        for name, format_ in self._formats.items():
            self._guarded(name, format_.close)

    def _open_one(self, name: str, format_: Format, episode: EpisodeStart) -> None:
        self._open[name] = format_.begin(episode)
        self._open[name].start()

    def _guarded(self, name: str, write: Callable[[], None]) -> bool:
        """The thread's boundary: whatever goes wrong in one format ends its episode, and is said once."""
        try:
            write()
        except OSError as exc:
            self._fail(name, os.strerror(exc.errno) if exc.errno else str(exc))
        except Exception as exc:
            log.debug("a format of the recording failed", exc_info=True)
            self._fail(name, str(exc) or type(exc).__name__)
        else:
            return True
        return False

    def _fail(self, name: str, reason: str) -> None:
        if name not in self.problems:
            log.error("recording as %s stopped for this episode: %s; the robot goes on", name, reason)
        self.problems[name] = reason
        episode = self._open.pop(name, None)
        if episode is not None:
            with contextlib.suppress(Exception):  # to close a file on a full disk fails as well
                episode.abandon()
