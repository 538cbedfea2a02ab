"""Memory-mapped files: views of their bytes, and giving the memory under a view back once it has been read."""

from __future__ import annotations

import mmap
from typing import IO, Any

import numpy as np
import numpy.typing as npt

__all__ = ["map_file", "release"]


def map_file(file: IO[bytes], file_bytes: int) -> npt.NDArray[np.uint8]:
    """The whole of an open file, read-only; the array keeps it mapped when the file is closed."""
    return np.asarray(np.memmap(file, np.uint8, mode="r", shape=(file_bytes,)))


def release(view: npt.NDArray[Any]) -> None:
    """Take the pages under a view that has been read out of this process; does nothing for an array in memory.

    The view stays good: a page that is touched again comes from the file again. Without this a process that streams a
    file of 14 GB counts as one that needs 14 GB.
    """
    mapping = _mapping_under(view)
    if mapping is None or not view.nbytes or not view.flags.c_contiguous:
        return
    begin = view.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    page = begin // mmap.PAGESIZE * mmap.PAGESIZE
    mapping.madvise(mmap.MADV_DONTNEED, page, begin + view.nbytes - page)


def _mapping_under(view: npt.NDArray[Any]) -> mmap.mmap | None:
    base: object = view
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
