"""The memory that unanswered bodies may take together. One body is bounded; many at once must be, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["BodyBudget"]

BUDGET_BYTES: Final = 96 * 1024 * 1024
"""A body takes about four times its size until it is answered (text, bytes, pixels, tensor)."""


@dataclass
class BodyBudget:
    """Counts the bytes of long bodies from their arrival to their answer."""

    free_bytes: int = BUDGET_BYTES

    def hold(self, size: int, instead_of: int) -> bool:
        """Whether there was room for `size` bytes in place of `instead_of`; without room nothing has changed."""
        if size - instead_of > max(self.free_bytes, 0):
            return False
        self.free_bytes += instead_of - size
        return True

    @contextlib.contextmanager
    def account(self) -> Iterator[Callable[[int], bool]]:
        """Gives a function that takes further bytes, and says whether there was room; all go back at the end."""
        taken = 0

        def take(size: int) -> bool:
            nonlocal taken
            if size > self.free_bytes:
                return False
            taken += size
            self.free_bytes -= size
            return True

        try:
            yield take
        finally:
            self.free_bytes += taken
