"""A name that nobody knows, answered with the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, known: Iterable[str], else_say: str = "") -> str:
    """`; did you mean 'port'?`, or `else_say` where no known name is like it."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else else_say
