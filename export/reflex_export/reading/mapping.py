"""Memory-mapped files: views of their bytes."""

from __future__ import annotations

from typing import IO

import numpy as np
import numpy.typing as npt

__all__ = ["map_file"]


def map_file(file: IO[bytes], file_bytes: int) -> npt.NDArray[np.uint8]:
    """The whole of an open file, read-only; the array keeps it mapped when the file is closed."""
    return np.asarray(np.memmap(file, np.uint8, mode="r", shape=(file_bytes,)))
