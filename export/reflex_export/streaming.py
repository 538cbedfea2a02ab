"""A large file on its way to disk: its pieces are made, hashed, written and synced at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Final

__all__ = ["stream_to_disk"]

_SYNC_EACH_BYTES: Final = 64 << 20
"""Between two requests for the disk; it works while the next pieces are made, and little is left for the end."""


def stream_to_disk(file: IO[bytes], pieces: Iterator[memoryview], on_bytes: Callable[[memoryview], object]) -> None:
    """Write all pieces; `on_bytes` sees each, in order. What it raises, and what the disk does, goes to the caller.

    The last pieces may not be on disk yet at the end: whoever needs them there syncs the file, which is quick then.
    """
    # Reading and converting, hashing, syncing: each takes as long as writing, and none of them holds Python's lock.
    with ThreadPoolExecutor(3, thread_name_prefix="weights") as workers:
        disk = _Disk(file, workers)
        upcoming = workers.submit(next, pieces, None)
        while (piece := upcoming.result()) is not None:
            upcoming = workers.submit(next, pieces, None)
            seen = workers.submit(on_bytes, piece)
            file.write(piece)
            disk.follow(piece.nbytes)
            seen.result()
        disk.finish()


class _Disk:
    """Syncs what is written so far, again and again, one request at a time."""

    def __init__(self, file: IO[bytes], workers: ThreadPoolExecutor) -> None:
        self._file = file
        self._workers = workers
        self._waiting_bytes = 0
        self._syncing: Future[None] | None = None

    def follow(self, more_bytes: int) -> None:
        self._waiting_bytes += more_bytes
        if self._waiting_bytes < _SYNC_EACH_BYTES or not (self._syncing is None or self._syncing.done()):
            return
        self.finish()
        self._syncing = self._workers.submit(os.fdatasync, self._file.fileno())
        self._waiting_bytes = 0

    def finish(self) -> None:
        """Wait for the last request. The kernel tells a failed write once: no later sync would hear of this one's."""
        if self._syncing is not None:
            self._syncing.result()
