"""Streams the records of a file or a folder in the order in which they were written, each with its header.

Memory holds one record for every file that is open at a time: files are opened when their first record is due, so a
folder with a file per episode costs as many as there were episodes at once.
"""

from __future__ import annotations

import contextlib
import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from reflex.errors import SetupError
from reflex.traces.lines import Losses, lines_of
from reflex.traces.schema import (
    DroppedRecord,
    RequestRecord,
    ShadowRecord,
    TraceHeader,
    TraceVersionError,
    parse_line,
)

__all__ = ["Entry", "Losses", "TraceReader", "trace_files"]

MAX_OPEN: Final = 256
"""Files at a time; beyond, records of different files may come out of order. Systems allow 1,024 by default."""
_NAME: Final = re.compile(r"(?P<group>.+)_(?P<rotation>\d+)\.jsonl(\.gz)?")

Record: TypeAlias = RequestRecord | ShadowRecord


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, and the header that holds for it."""

    header: TraceHeader
    record: Record


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    """The next entry of one stream of files; compares by time, then by the order of the streams."""

    at: float
    stream: int


class TraceReader:
    """Iterate it for every `Entry`; `losses` counts, up to that point, what could not be read. One pass per reader.

    Raises `SetupError` when there is nothing to read, and `TraceVersionError` for another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.losses = Losses()
        self._streams = _streams_of(trace_files(path))

    def __iter__(self) -> Iterator[Entry]:
        if len(self._streams) == 1:
            yield from _read_files(self._streams[0], self.losses)
        else:
            yield from _merge(self._streams, self.losses)


def trace_files(path: Path) -> list[Path]:
    """The recordings at `path`: itself, or those in the folder, oldest first."""
    if path.is_file():
        return [path]
    files = sorted((file for file in path.glob("*.jsonl*") if _NAME.fullmatch(file.name)), key=_order)
    if not files:
        absent = "is no file or folder of recordings" if path.exists() else "is not there"
        what = "holds no recording" if path.is_dir() else absent
        raise SetupError(f"{path} {what}; `reflex serve --record DIR` writes files named *.jsonl.gz into DIR")
    return files


def _order(file: Path) -> tuple[str, int]:
    found = _NAME.fullmatch(file.name)
    return (found["group"], int(found["rotation"])) if found else (file.name, 0)


def _streams_of(files: Sequence[Path]) -> list[list[Path]]:
    """Files that follow each other: those of one server by the hour, or those of one episode on one server."""
    streams: dict[str, list[Path]] = {}
    for file in files:
        group = _order(file)[0]
        is_episode = group.startswith("episode-")
        streams.setdefault(group if is_episode else group.rpartition("_")[2], []).append(file)
    return list(streams.values())


def _merge(streams: Sequence[Sequence[Path]], losses: Losses) -> Iterator[Entry]:
    """Every stream's entries by time. A stream is opened once the others have come to its first entry."""
    waiting = sorted(_Due(_started_at(files), number) for number, files in enumerate(streams))[::-1]
    open_streams: dict[int, Iterator[Entry]] = {}
    heads: dict[int, Entry] = {}
    due: list[_Due] = []
    while waiting or due:
        while waiting and len(due) < MAX_OPEN and (not due or waiting[-1] <= due[0]):
            number = waiting.pop().stream
            open_streams[number] = _read_files(streams[number], losses)
            _advance(number, open_streams, heads, due, 0.0)
        if due:
            now = heapq.heappop(due)
            yield heads.pop(now.stream)
            _advance(now.stream, open_streams, heads, due, now.at)


def _advance(
    number: int, open_streams: dict[int, Iterator[Entry]], heads: dict[int, Entry], due: list[_Due], now: float
) -> None:
    entry = next(open_streams[number], None)
    if entry is None:
        del open_streams[number]
        return
    heads[number] = entry
    # A shadow line without a time belongs right behind what stands before it.
    heapq.heappush(due, _Due(now if entry.record.at is None else entry.record.at, number))


def _started_at(files: Sequence[Path]) -> float:
    """When the first request was recorded; unknown damage sorts first and is counted when the file is read."""
    first = next(_read_files(files, Losses()), None)
    return 0.0 if first is None or first.record.at is None else first.record.at


def _read_files(files: Sequence[Path], losses: Losses) -> Iterator[Entry]:
    for file in files:
        # The server may have removed it since, to keep the folder below its cap.
        with contextlib.suppress(FileNotFoundError):
            yield from _read_file(file, losses)


def _read_file(file: Path, losses: Losses) -> Iterator[Entry]:
    header: TraceHeader | None = None
    for line in lines_of(file, losses):
        try:
            record = parse_line(line)
        except TraceVersionError as exc:
            raise TraceVersionError(f"{file}: {exc}") from exc
        except ValueError:
            losses.damaged_lines += 1
            continue
        if isinstance(record, TraceHeader):
            header = record
        elif isinstance(record, DroppedRecord):
            losses.dropped += record.count
        elif record is not None and header is None:
            losses.damaged_lines += 1
        elif record is not None and header is not None:
            yield Entry(header, record)
