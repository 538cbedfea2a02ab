"""What a server of many threads keeps of the memory that it has freed."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["share_memory"]

M_ARENA_MAX: Final = -8
"""Of glibc's mallopt(3)."""
ARENAS: Final = 2


def share_memory() -> bool:
    """Let all threads of this process allocate from two arenas; False where the C library is not glibc.

    To be called before the first thread is started. glibc gives threads up to eight arenas a core, and each keeps what
    was freed in it: a server whose threads come and go in bursts grows for as long as it runs.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS))
    except AttributeError:
        return False
