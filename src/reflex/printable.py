"""Text of others, made safe to show: a server's message, a recording, a robot's name may hold what moves a terminal."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["escaped_in_json", "printable", "printable_lines"]

UNPRINTED_IN_JSON: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON leaves as it is, and terminals obey, hide or turn round."""


def printable(text: str) -> str:
    """`text` with everything that is no visible character or space as its escape, like `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, which stay lines."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def escaped_in_json(text: str) -> str:
    """The same JSON without such characters in it."""
    return UNPRINTED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
