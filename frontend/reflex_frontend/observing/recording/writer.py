"""Chooses the file of each line, begins new ones, and ends old ones. For one thread; raises `OSError`."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

from reflex.traces.schema import TraceHeader, to_line
from reflex_frontend.observing.recording.directory import enforce_cap, episode_name, file_name, hour_name
from reflex_frontend.observing.recording.episode_files import NewEpisodes
from reflex_frontend.observing.recording.trace_file import TraceFile

__all__ = ["FilePolicy", "GroupedBy", "TraceWriter", "encode_json"]

GroupedBy = Literal["hour", "episode"]

FLUSHED_BYTES: Final = 1024 * 1024
"""Compressed bytes that may wait for the end of a batch."""
CHECKS_PER_CAP: Final = 32
"""Room for this part of the cap is made at a time, and is looked at again when it is used up."""
FILE_COST_BYTES: Final = 4 * 1024
"""What a file takes however short it is: one block."""
FILES_PER_CAP: Final = 4
"""A file is at most this part of the cap, so that there is something closed to remove."""
MAX_REMEMBERED: Final = 4_096
"""Closed files that can go on, about 0.5 KB each."""

log = logging.getLogger("reflex.record")


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """How a recording is cut into files, and how much of it is kept."""

    by: GroupedBy = "hour"
    max_file_bytes: int = 256 * 1024 * 1024
    max_total_bytes: int = 10 * 1024 * 1024 * 1024
    max_files: int = 100_000
    """What a folder can be listed with in well under a second, however short the files are."""
    max_new_episodes_per_minute: int = 120
    """Further ones share their hour's file, so that who invents episodes does not push those of robots out."""
    max_open_files: int = 64
    """Each holds about 0.3 MB of zlib's memory."""
    idle_s: float = 60.0
    """An episode's file that got no line for so long is closed."""


@dataclass(frozen=True, slots=True)
class _Closed:
    """A whole file that is not long yet, and the header that holds at its end."""

    path: Path
    header: TraceHeader


class TraceWriter:
    """A line goes to the file of its hour, or of its episode; requests without an episode go to their hour's, and so do
    those of episodes that begin too many at a time.

    A file that had to make room for others goes on when its next line comes, so that many episodes at a time are no
    more files than episodes. `number` counts files: a name is used once per server.
    """

    def __init__(self, directory: Path, header: TraceHeader, policy: FilePolicy, wall: Callable[[], float]) -> None:
        self.bytes_written = 0
        self._directory = directory
        self._header = header
        self._policy = policy
        self._wall = wall
        self._max_file_bytes = min(policy.max_file_bytes, policy.max_total_bytes // FILES_PER_CAP)
        self._open: OrderedDict[str, TraceFile] = OrderedDict()
        """By name without server and number, the one used longest ago first."""
        self._used_at: dict[str, float] = {}
        self._closed: OrderedDict[str, _Closed] = OrderedDict()
        """By the same names, the one closed longest ago first."""
        self._opened_total = 0
        self._unchecked_bytes = policy.max_total_bytes  # who ran here before may have left it full
        self._cap_step_bytes = policy.max_total_bytes // CHECKS_PER_CAP
        self._unchecked_files = 0
        self._cap_step_files = max(1, policy.max_files // CHECKS_PER_CAP)
        self._new_episodes = NewEpisodes(policy.max_new_episodes_per_minute)

    def replace_header(self, header: TraceHeader) -> None:
        """A slot has another policy: every open file says so from here on, and every new one from its beginning."""
        self._header = header
        for file in self._open.values():
            file.add(to_line(header, encode_json))

    def add(self, line: bytes, at: float, episode_id: str | None) -> None:
        """Put a line into its file; it can be lost until `flush`. `at` is Unix seconds."""
        stem = self._stem(at, episode_id)
        file = self._open.get(stem) or self._begin(stem)
        self._open.move_to_end(stem)
        self._used_at[stem] = self._wall()
        file.add(line)
        if file.pending_bytes >= FLUSHED_BYTES:
            self._count(file.flush())

    def flush(self) -> None:
        """Everything added is in the files afterwards; files that are long or old are closed."""
        for file in self._open.values():
            self._count(file.flush())
        for stem in self._finished():
            self._end(stem)
        self._keep_cap()

    def close(self) -> None:
        while self._open:
            self._end(next(iter(self._open)))

    def abandon(self) -> None:
        """Let go of every file as it is, after an `OSError`; the next line begins a new one."""
        for file in self._open.values():
            with contextlib.suppress(OSError):
                file.abandon()
        self._open.clear()
        self._used_at.clear()
        self._closed.clear()

    def _stem(self, at: float, episode_id: str | None) -> str:
        if self._policy.by == "hour" or episode_id is None:
            return hour_name(at)
        stem = episode_name(episode_id)
        has_file = stem in self._open or stem in self._closed
        return stem if has_file or self._new_episodes.may_begin(stem, self._wall()) else hour_name(at)

    def _begin(self, stem: str) -> TraceFile:
        while len(self._open) >= self._policy.max_open_files:
            self._end(next(iter(self._open)), is_finished=False)
        file = self._open[stem] = self._go_on(stem) or self._new_file(stem)
        return file

    def _go_on(self, stem: str) -> TraceFile | None:
        """The closed file of `stem`; None when there is none, or it was removed to keep under the cap."""
        closed = self._closed.pop(stem, None)
        if closed is None:
            return None
        try:
            file = TraceFile(closed.path, is_further_member=True)
        except FileNotFoundError:
            return None
        if closed.header is not self._header:
            file.add(to_line(self._header, encode_json))
        return file

    def _new_file(self, stem: str) -> TraceFile:
        name = file_name(stem, self._header.server_id, self._opened_total)
        self._opened_total += 1
        file = TraceFile(self._directory / name)
        file.add(to_line(self._header, encode_json))
        self._unchecked_bytes += FILE_COST_BYTES
        self._unchecked_files += 1
        return file

    def _end(self, stem: str, *, is_finished: bool = True) -> None:
        """Only finished files are waited for until they are on the disk: one that goes on would be so every time."""
        file = self._open.pop(stem)
        del self._used_at[stem]
        self._count(file.close(is_finished=is_finished))
        if file.size_bytes < self._max_file_bytes:
            self._closed[stem] = _Closed(file.path, self._header)
            if len(self._closed) > MAX_REMEMBERED:
                self._closed.popitem(last=False)

    def _finished(self) -> list[str]:
        now = self._wall()
        return [stem for stem, file in self._open.items() if self._is_finished(stem, file, now)]

    def _is_finished(self, stem: str, file: TraceFile, now: float) -> bool:
        is_last_hours = not stem.startswith("episode-") and stem != hour_name(now)
        is_idle = now - self._used_at[stem] > self._policy.idle_s
        return file.size_bytes >= self._max_file_bytes or is_last_hours or (self._policy.by == "episode" and is_idle)

    def _count(self, written_bytes: int) -> None:
        self.bytes_written += written_bytes
        self._unchecked_bytes += written_bytes

    def _keep_cap(self) -> None:
        if self._unchecked_bytes < self._cap_step_bytes and self._unchecked_files < self._cap_step_files:
            return
        self._unchecked_bytes = self._unchecked_files = 0
        max_bytes, max_files = self._policy.max_total_bytes, self._policy.max_files
        removed = enforce_cap(self._directory, max_bytes - self._cap_step_bytes, max_files - self._cap_step_files)
        if removed:
            log.info("old recordings removed", extra={"files": removed, "max_bytes": max_bytes, "max_files": max_files})


def encode_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
