"""Secrets that a command takes: from its standard input, where no list of processes shows them."""

from __future__ import annotations

import sys

from reflex.errors import SetupError

__all__ = ["given_or_read"]

MAX_CHARACTERS = 4096


def given_or_read(given: str, what: str) -> str:
    """`given`, or one line of standard input for `-`."""
    if given != "-":
        return given
    line = sys.stdin.readline(MAX_CHARACTERS).strip()
    if not line:
        raise SetupError(f"standard input holds no line with {what}; write it there, like: reflex ... - < FILE")
    return line
