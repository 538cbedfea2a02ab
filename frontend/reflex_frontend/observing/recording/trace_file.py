"""One file of a recording while it is being written: a gzip stream that can be read up to its last flush."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import zlib
from pathlib import Path
from typing import Final

from reflex.file_lock import is_locked_now

__all__ = ["TraceFile", "is_being_written"]

GZIP_WINDOW_BITS: Final = 31
LEVEL: Final = 3
"""A third of the time of gzip's own 6, for files that are about a tenth longer."""
FILE_MODE: Final = 0o640
"""Instructions and images are nobody's business who is not of the group."""


class TraceFile:
    """Holds an advisory lock for as long as it is open: who tidies the directory up knows it by that, also elsewhere.

    Made exclusively, or one that was closed whole goes on with a further gzip member (`is_further_member`); it must be
    there then. Raises `OSError`; after one in `flush` the file ends with its last whole flush, and only `abandon` may
    be called.
    """

    def __init__(self, path: Path, *, is_further_member: bool = False) -> None:
        self.path = path
        self.size_bytes = 0
        """What has been flushed: every line in it can be read, whatever happens to this process."""
        self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW_BITS)
        self._pending: list[bytes] = []
        self.pending_bytes = 0
        self._is_dirty = False
        how = os.O_APPEND | os.O_NOFOLLOW if is_further_member else os.O_CREAT | os.O_EXCL
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | how, FILE_MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            status = os.fstat(self._descriptor)
            if not status.st_nlink:
                raise FileNotFoundError(errno.ENOENT, "removed before it was locked")
            self.size_bytes = status.st_size
        except OSError:
            self.abandon()
            raise

    def add(self, line: bytes) -> None:
        """Compress one line; it is in the file after the next `flush`."""
        self._is_dirty = True
        piece = self._compressor.compress(line)
        if piece:
            self._pending.append(piece)
            self.pending_bytes += len(piece)

    def flush(self) -> int:
        """Write what was added, up to a point where a reader can stop; the number of bytes. Survives kill -9."""
        return self._write(self._compressor.flush(zlib.Z_SYNC_FLUSH)) if self._is_dirty else 0

    def close(self, *, is_finished: bool = True) -> int:
        """End the stream; the bytes written. A finished file is on the disk afterwards, and survives a power cut."""
        try:
            written = self._write(self._compressor.flush(zlib.Z_FINISH))
            if is_finished:
                os.fsync(self._descriptor)
        finally:
            self.abandon()
        return written

    def abandon(self) -> None:
        """Close the file as it is."""
        os.close(self._descriptor)

    def _write(self, end: bytes) -> int:
        data = memoryview(b"".join((*self._pending, end)))
        self._pending.clear()
        self.pending_bytes = 0
        self._is_dirty = False
        try:
            _write_all(self._descriptor, data)
        except OSError:
            # Shorter always fits: no reader has to look at half a block.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self.size_bytes += len(data)
        return len(data)


def is_being_written(descriptor: int) -> bool:
    """Whether some process, this one too, holds the file of `descriptor` open as a `TraceFile`.

    If not, it is locked until the descriptor is closed.
    """
    return not is_locked_now(descriptor)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
