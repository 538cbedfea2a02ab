"""Episodes of a recording, where it is written: each begins, takes what happens, and ends in `episodes.jsonl`."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reflex.durable_files import sync
from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Run
from reflex_runner.recording.lines import to_line
from reflex_runner.recording.outlets import Outlets
from reflex_runner.recording.pictures import Picture
from reflex_runner.recording.waiting_line import NAMES, Entry, Happening, Marker, Observed
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["EPISODES_FILE", "UNMARKED", "Episodes", "append_line", "moment_of"]

EPISODES_FILE: Final = "episodes.jsonl"
OWNER_FILE: Final = 0o600
UNMARKED: Final = Marker(None, begins=True)
"""The whole run is an episode, from the first thing that happens."""

log = logging.getLogger("reflex.recording")


@dataclass(frozen=True)
class _OpenEpisode:
    start: EpisodeStart
    counts: Counter[str]


class Episodes:
    """After a first marker only what lies between two is recorded; before it an episode begins if one is `wanted`.

    `refused` counts what the run could not even put into the queue.
    """

    def __init__(
        self, run: Run, outlets: Outlets, refused: Counter[str], *, wanted: Marker | None, keep_free_bytes: int
    ) -> None:
        self._run = run
        self._outlets = outlets
        self._refused = refused
        self.lost: Counter[str] = Counter()
        """What came and could not be written: the disk was full, or a picture was none."""
        self.is_full = False
        """The disk has no room to spare: nothing is recorded until it has."""
        self._keep_free_bytes = keep_free_bytes
        self._open: _OpenEpisode | None = None
        self._wanted = wanted
        self._told: Counter[str] = Counter()
        self._number = 0
        self._is_said = False

    def add(self, entry: Entry) -> None:
        """The next thing that happened."""
        what = entry.what
        if isinstance(what, Marker):
            self._mark(what)
        elif self._is_open_for(what):
            for camera, picture in entry.pictures.items():
                self._show(camera, picture)
            self._count(NAMES[type(what)])
            self._outlets.tell(lambda episode: _tell(episode, what))

    def look_at_disk(self, at_s: float) -> None:
        """End the episode while there is room to end it; begin another when there is room again."""
        is_full = shutil.disk_usage(self._run.folder).free < self._keep_free_bytes
        if is_full and not self.is_full:
            log.error("the disk is nearly full: nothing is recorded until there is room; the robot goes on")
            self._end(at_s, success=None, reason="disk_full")
        self.is_full = is_full

    def flush(self) -> None:
        """Hand over what is held."""
        self._outlets.tell(lambda episode: episode.flush())
        dropped = self._dropped()
        if dropped and not self._is_said:
            self._is_said = True
            told = ", ".join(f"{count} {name}" for name, count in dropped.items())
            log.warning("the recording cannot keep up with the run: left out so far: %s; the robot goes on", told)

    def close(self, at_s: float, *, reason: str = "closed") -> None:
        """End what is open."""
        self._end(at_s, success=None, reason=reason)
        self._outlets.close()

    def _mark(self, marker: Marker) -> None:
        self._end(marker.at_s or 0.0, success=marker.success, reason="ended")
        self._wanted = marker if marker.begins else None

    def _is_open_for(self, what: Happening) -> bool:
        if self._open is None and self._wanted is not None:
            if self.is_full:
                self.lost[NAMES[type(what)]] += 1
            else:
                self._begin(self._wanted, moment_of(what))
        return self._open is not None

    def _begin(self, wanted: Marker, first_s: float) -> None:
        instruction = self._run.facts.instruction if wanted.instruction is None else wanted.instruction
        start = EpisodeStart(self._number, first_s if wanted.at_s is None else wanted.at_s, instruction)
        self._open = _OpenEpisode(start, Counter())
        self._number += 1
        self._wanted = replace(wanted, at_s=None)  # if the disk ends it, it goes on as another
        self._outlets.begin(start)

    def _show(self, camera: str, picture: Picture) -> None:
        if picture.encoded is None:
            self.lost["unreadable pictures"] += 1
            return
        self._count("pictures")
        self._outlets.tell(lambda episode: episode.pictured(camera, picture))

    def _count(self, name: str) -> None:
        if self._open is not None:
            self._open.counts[name] += 1

    def _end(self, at_s: float, *, success: bool | None, reason: str) -> None:
        if self._open is None:
            return
        episode, self._open = self._open, None
        before, self._told = self._told, self._dropped()
        end = EpisodeEnd(at_s, success, reason, dict(self._told - before))
        went = self._outlets.end(end)
        try:
            append_line(self._run.folder / EPISODES_FILE, self._summary(episode, end, went))
        except OSError as exc:
            log.error("an episode's end could not be written down: %s", exc.strerror)

    def _summary(self, episode: _OpenEpisode, end: EpisodeEnd, went: Mapping[str, str]) -> dict[str, Any]:
        moments = self._run.moments
        return {
            "episode": episode.start.number,
            "instruction": episode.start.instruction,
            "began_unix_s": moments.unix_s(episode.start.at_s),
            "ended_unix_s": moments.unix_s(end.at_s),
            "success": end.success,
            "reason": end.reason,
            "counts": dict(episode.counts),
            "dropped": dict(end.dropped),
            "formats": dict(went),
        }

    def _dropped(self) -> Counter[str]:
        return Counter(dict(self._refused)) + self.lost


def append_line(file: Path, line: Mapping[str, Any]) -> None:
    """One more line, on disk when this returns. Where it does not fit on the disk, nothing of it stays."""
    file.touch(mode=OWNER_FILE)
    before = file.stat().st_size
    try:
        with file.open("ab") as stream:
            stream.write(to_line(line))
        sync(file)
    except OSError:
        os.truncate(file, before)
        raise


def moment_of(what: Happening) -> float:
    """When it was measured, on the clock of the run."""
    match what:
        case Observed():
            return what.observation.captured_s
        case DatedChunk():
            return what.captured_s
        case _:
            return what.at_s or 0.0


def _tell(episode: EpisodeWriter, what: Happening) -> None:
    match what:
        case Observed():
            episode.observed(what.seq, what.observation)
        case DatedChunk():
            episode.answered(what)
        case Tick():
            episode.ticked(what)
        case Event():
            episode.noted(what)
