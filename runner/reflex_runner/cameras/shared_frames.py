"""Pictures of another program through POSIX shared memory: who writes, who reads, and what lies where.

    offset  size  what (little-endian, as on every robot's computer)
    0       8     the letters REFLEXSH
    8       4     version of this layout: 1
    12      4     width
    16      4     height
    20      4     channels: 3, RGB
    24      8     sequence: odd while a picture is being written, even once it is whole; 0: there was none yet
    32      8     when it was taken: nanoseconds of CLOCK_MONOTONIC
    40      24    nothing yet: zeros
    64            height x width x 3 bytes, row by row from the top

A writer makes the sequence odd, writes date and pixels, and makes it even; a reader copies, and takes the copy only
when the sequence was even and the same before and after. Numbers at 24 and 32 are written and read in one piece. A
segment never changes its size: for another size it is unlinked, and a new one is made under its name.
"""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]  # Python's own, on every POSIX system
import contextlib
import mmap
import os
import struct
import threading
import time
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from reflex_runner.errors import HardwareError

__all__ = ["HEADER_BYTES", "FrameReader", "FrameWriter"]

HEADER_BYTES: Final = 64
MAGIC: Final = b"REFLEXSH"
VERSION: Final = 1
MAX_SIDE: Final = 8192
FIXED: Final = struct.Struct("<8sIIII")
TRIES: Final = 100
"""A reader that is overtaken so often gives up for now."""
FUTURE_NS: Final = 5_000_000


class FrameWriter:
    """Makes the segment, or takes over one of this size that a writer left; `with` gives it back."""

    def __init__(self, name: str, width: int, height: int) -> None:
        self._name = name
        size = HEADER_BYTES + width * height * 3
        begins = FIXED.pack(MAGIC, VERSION, width, height, 3)
        with contextlib.suppress(FileNotFoundError):
            if _beginning(name) != (size, begins):
                _posixshmem.shm_unlink(_path(name))
        descriptor = _posixshmem.shm_open(_path(name), os.O_CREAT | os.O_RDWR, mode=0o600)
        try:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)
            self._memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._memory[: FIXED.size] = begins
        self._numbers = np.frombuffer(self._memory, np.uint64, 2, 24)
        self._pixels = np.frombuffer(self._memory, np.uint8, offset=HEADER_BYTES).reshape(height, width, 3)

    def write(self, pixels: npt.NDArray[np.uint8], captured_s: float | None = None) -> None:
        """One picture, uint8 of height x width x 3, RGB; taken now, unless it says when."""
        captured_ns = time.monotonic_ns() if captured_s is None else round(captured_s * 1e9)
        whole = (int(self._numbers[0]) | 1) + 1
        self._numbers[0] = whole - 1
        _fence()
        self._numbers[1] = captured_ns
        self._pixels[:] = pixels
        _fence()
        self._numbers[0] = whole

    def close(self, *, unlink: bool = True) -> None:
        """Give the segment back, and take its name away."""
        del self._numbers, self._pixels
        self._memory.close()
        if unlink:
            with contextlib.suppress(FileNotFoundError):
                _posixshmem.shm_unlink(_path(self._name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class FrameReader:
    """One segment as it is now; `HardwareError` says what is wrong with it."""

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            descriptor = _posixshmem.shm_open(_path(name), os.O_RDONLY)
        except OSError as exc:
            raise HardwareError(
                f"finds no shared memory {name!r} ({exc.strerror}): is the program that writes it running?"
            ) from exc
        try:
            self._inode = os.fstat(descriptor).st_ino
            self._memory = _mapped(descriptor, name)
        finally:
            os.close(descriptor)
        try:
            self.height, self.width = _sides(self._memory, name)
        except HardwareError:
            self._memory.close()
            raise
        self._numbers = np.frombuffer(self._memory, np.uint64, 2, 24)
        self._pixels = np.frombuffer(self._memory, np.uint8, self.height * self.width * 3, HEADER_BYTES)
        self._seen = 0

    def newer(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        """A whole picture that was not read before, and when it was taken; None when there is none now."""
        for _ in range(TRIES):
            sequence = int(self._numbers[0])
            if sequence in (0, self._seen) or sequence % 2:
                return None
            _fence()
            captured_ns, copied = int(self._numbers[1]), self._pixels.copy()
            _fence()
            if int(self._numbers[0]) == sequence:
                self._seen = sequence
                return copied.reshape(self.height, self.width, 3), self._date(captured_ns)
        return None

    def is_current(self) -> bool:
        """Whether the name still means this segment: a writer that began anew may have made another."""
        try:
            descriptor = _posixshmem.shm_open(_path(self._name), os.O_RDONLY)
        except OSError:
            return False
        try:
            return os.fstat(descriptor).st_ino == self._inode
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """The segment stays: it is the writer's."""
        del self._numbers, self._pixels
        self._memory.close()

    def _date(self, captured_ns: int) -> float:
        if captured_ns > time.monotonic_ns() + FUTURE_NS:
            raise HardwareError(
                f"has a picture of the future in {self._name!r}: its date must be CLOCK_MONOTONIC of this computer, "
                "in nanoseconds"
            )
        return captured_ns / 1e9


_FENCE: Final = threading.Lock()


def _fence() -> None:
    """What is written or read before comes before what comes after, on every processor: two turns of a lock say so."""
    for _ in range(2):
        with _FENCE:
            pass


def _path(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def _beginning(name: str) -> tuple[int, bytes]:
    """How long the segment is that has this name now, and what it says of itself."""
    descriptor = _posixshmem.shm_open(_path(name), os.O_RDONLY)
    try:
        return os.fstat(descriptor).st_size, os.pread(descriptor, FIXED.size, 0)
    finally:
        os.close(descriptor)


def _mapped(descriptor: int, name: str) -> mmap.mmap:
    size = os.fstat(descriptor).st_size
    if size <= HEADER_BYTES:
        raise HardwareError(f"finds {size} bytes in the shared memory {name!r}, which is no picture")
    return mmap.mmap(descriptor, size, prot=mmap.PROT_READ)


def _sides(memory: mmap.mmap, name: str) -> tuple[int, int]:
    magic, version, width, height, channels = FIXED.unpack_from(memory)
    if magic != MAGIC or version != VERSION:
        raise HardwareError(
            f"finds something else in the shared memory {name!r}: it begins {magic!r}, version {version}"
        )
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and channels == 3):
        raise HardwareError(f"finds a picture of {width} x {height} x {channels} in the shared memory {name!r}")
    if len(memory) < HEADER_BYTES + width * height * 3:
        raise HardwareError(f"finds {len(memory)} bytes in the shared memory {name!r}, too few for {width} x {height}")
    return height, width
