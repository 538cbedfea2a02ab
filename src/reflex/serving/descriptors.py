"""How many connections a process may have open."""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["raise_descriptor_limit"]

ENOUGH: Final = 65_536


def raise_descriptor_limit(enough: int = ENOUGH) -> int:
    """Let this process open as many descriptors as the system lets it, up to `enough`; how many that are.

    The limit that most systems begin with, 1,024, is there for programs that use select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
