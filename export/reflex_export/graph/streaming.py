"""A large file on its way to disk: its pieces are made, hashed, written and synced at the same time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Final

__all__ = ["stream_to_disk"]

_PIECES_AHEAD: Final = 16
"""How far writing may be ahead of hashing: threads that wait for each other at every piece wait half of the time."""
_SYNC_EACH_BYTES: Final = 64 << 20
"""Between two requests for the disk; it works while the next pieces are made, and little is left for the end."""


def stream_to_disk(file: IO[bytes], pieces: Iterable[memoryview], on_bytes: Callable[[memoryview], object]) -> None:
    """Write all pieces; `on_bytes` sees each, in order. What it raises, and what the disk does, goes to the caller.

    The last pieces may not be on disk yet at the end: whoever needs them there syncs the file, which is quick then.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="hash") as hasher, ThreadPoolExecutor(1) as syncer:
        disk = _Disk(file, syncer)
        seeing: deque[Future[object]] = deque()
        for piece in pieces:
            seeing.append(hasher.submit(on_bytes, piece))
            file.write(piece)
            disk.follow(piece.nbytes)
            if len(seeing) > _PIECES_AHEAD:
                seeing.popleft().result()
        for seen in seeing:
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
