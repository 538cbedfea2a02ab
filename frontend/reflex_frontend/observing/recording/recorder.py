"""Records requests without making any of them wait, or fail.

`record` puts references into a bounded queue and is done in microseconds; one thread makes lines of them and writes.
When the thread is behind, records are dropped and counted. When the disk is full, read-only or gone, recording stops,
`problem` says so, and the first request after half a minute tries again with new files. Serving never notices.

What survives: after kill -9 all but the last tenth of a second; a power cut takes what the system had not yet written
of files that are not finished.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.traces.schema import DroppedRecord, ShadowRecord, TraceHeader, to_line
from reflex_frontend.observing.recording.directory import prepare_directory
from reflex_frontend.observing.recording.entry import ActEntry, entry_size_bytes, request_record
from reflex_frontend.observing.recording.images import ImageMode
from reflex_frontend.observing.recording.writer import FilePolicy, TraceWriter, encode_json

__all__ = ["QueueLimits", "Recorder"]

GATHER_S: Final = 0.1
"""The thread wakes up this long after a record: waking it for each would take the event loop's turn each time."""
BATCH_RECORDS: Final = 256
RETRY_S: Final = 30.0
SHADOW_BYTES: Final = 8 * 1024
DEFAULT_FILES: Final = FilePolicy()

log = logging.getLogger("reflex.record")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait to be written; images count in full, as long as they are held."""

    records: int = 4_096
    bytes: int = 64 * 1024 * 1024


DEFAULT_LIMITS: Final = QueueLimits()


@dataclass(frozen=True, slots=True)
class _Item:
    record_seq: int
    at: float
    what: ActEntry | ShadowRecord | TraceHeader
    episode_id: str | None
    size_bytes: int


class Recorder:
    """One per server. `record`, `record_shadow` and `replace_header` are for the thread of the event loop alone.

    `wall` is Unix seconds, for names and lines; `now` is monotonic seconds, for the retry.
    """

    def __init__(
        self,
        directory: Path,
        header: TraceHeader,
        *,
        images: ImageMode = "hash",
        files: FilePolicy = DEFAULT_FILES,
        limits: QueueLimits = DEFAULT_LIMITS,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.images = images
        self.problem: str | None = None
        """Why nothing is being recorded, for /health; None while all is well."""
        self.records_written = 0
        self._directory = directory
        self._writer = TraceWriter(directory, header, files, wall)
        self._limits = limits
        self._wall = wall
        self._now = now
        self._retry_at = 0.0
        self._record_seq = 0
        self._queue: deque[_Item] = deque()
        # Each of these has one thread that adds to it, so that none needs a lock.
        self._taken_bytes = 0
        self._released_bytes = 0
        self._refused = 0
        self._lost = 0
        self._reported = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    @property
    def records_dropped(self) -> int:
        """Requests that were answered and are in no file."""
        return self._refused + self._lost

    @property
    def bytes_written(self) -> int:
        """Compressed, as in the files."""
        return self._writer.bytes_written

    def start(self) -> None:
        """Raises `SetupError` when the directory cannot be one."""
        prepare_directory(self._directory)
        self._thread.start()

    def record(self, entry: ActEntry) -> int:
        """Take one request; the number by which its lines are known. Never waits and never raises."""
        self._record_seq += 1
        if self.images == "none" and entry.images:
            entry = dataclasses.replace(entry, images={})
        self._take(_Item(self._record_seq, self._wall(), entry, entry.episode_id, entry_size_bytes(entry)))
        return self._record_seq

    def record_shadow(self, shadow: ShadowRecord, episode_id: str | None) -> None:
        """What the shadow policy said, later than the answer; `episode_id` is that of the request."""
        self._take(_Item(shadow.record_seq, self._wall(), shadow, episode_id, SHADOW_BYTES))

    def replace_header(self, header: TraceHeader) -> None:
        """Another policy in a slot: its header stands between the lines of the old one and those of the new."""
        self._put(_Item(0, self._wall(), header, None, 0))  # never refused: lines below it would be misread

    def close(self, timeout_s: float) -> bool:
        """Write what waits and end the files; False when that took too long and was left to itself."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take(self, item: _Item) -> None:
        held_bytes = self._taken_bytes - self._released_bytes + item.size_bytes
        is_full = len(self._queue) >= self._limits.records or held_bytes > self._limits.bytes
        if is_full or self._is_resting() or self._closing.is_set():
            self._refused += 1
            return
        self._put(item)

    def _is_resting(self) -> bool:
        return self.problem is not None and self._now() < self._retry_at

    def _put(self, item: _Item) -> None:
        self._taken_bytes += item.size_bytes
        self._queue.append(item)
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._closing.wait(GATHER_S)
            self._write_queue()
        self._write_queue()
        self._write([])
        self._guarded(self._writer.close)

    def _write_queue(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_RECORDS))]
            self._write(batch)
            self._released_bytes += sum(item.size_bytes for item in batch)

    def _write(self, batch: list[_Item]) -> None:
        """A batch counts as written when all of it is; of one that failed lines may be in the files all the same."""
        if self._is_resting():  # queued before the failure
            self._skip(batch)
            return
        dropped, lost = self.records_dropped, self._lost
        if self._guarded(lambda: self._try_to_write(batch, dropped - self._reported)):
            self._reported = dropped
            records = sum(not isinstance(item.what, TraceHeader) for item in batch)
            self.records_written += records - (self._lost - lost)
            self._set_well(records)
        else:
            self._lost = lost
            self._skip(batch)

    def _try_to_write(self, batch: list[_Item], dropped: int) -> None:
        if dropped:
            self._add_dropped(dropped, batch[0].episode_id if batch else None)
        for item in batch:
            self._add(item)
        self._writer.flush()

    def _skip(self, batch: list[_Item]) -> None:
        for item in batch:
            if isinstance(item.what, TraceHeader):
                self._writer.replace_header(item.what)  # no file is open; the next one must begin with it
            else:
                self._lost += 1

    def _add(self, item: _Item) -> None:
        if isinstance(item.what, TraceHeader):
            self._writer.replace_header(item.what)
            return
        try:
            line = self._line_of(item, item.what)
        except Exception:
            log.exception("a request could not be recorded")
            self._lost += 1
            return
        self._writer.add(line, item.at, item.episode_id)

    def _line_of(self, item: _Item, what: ActEntry | ShadowRecord) -> bytes:
        if isinstance(what, ActEntry):
            return to_line(request_record(item.record_seq, item.at, what, self.images), encode_json)
        return to_line(what, encode_json)

    def _add_dropped(self, count: int, episode_id: str | None) -> None:
        at = self._wall()
        self._writer.add(to_line(DroppedRecord(count, at), encode_json), at, episode_id)

    def _guarded(self, write: Callable[[], None]) -> bool:
        """The thread's boundary: whatever goes wrong with the files stops the recording and nothing else."""
        try:
            write()
        except OSError as exc:
            self._stop_for_now(os.strerror(exc.errno) if exc.errno else "the directory cannot be written")
        except Exception:
            log.exception("the recorder failed")
            self._stop_for_now("an error of the recorder itself, see the log")
        else:
            return True
        return False

    def _stop_for_now(self, reason: str) -> None:
        self._writer.abandon()
        if self.problem is None:
            log.error("recording stopped: %s; it is tried again", reason, extra={"directory": str(self._directory)})
        self._retry_at = self._now() + RETRY_S
        self.problem = f"recording stopped: {reason}"

    def _set_well(self, records: int) -> None:
        if self.problem is not None and records:
            self.problem = None
            log.info("recording goes on", extra={"records_dropped": self.records_dropped})
