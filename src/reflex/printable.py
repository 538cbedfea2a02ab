"""Text of others, made safe to show: a server's message, a recording, a robot's name may hold what moves a terminal."""

from __future__ import annotations

__all__ = ["escaped_in_json", "printable", "printable_lines"]


def printable(text: str) -> str:
    """`text` with everything that is no visible character or space as its escape, like `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, which stay lines."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def escaped_in_json(text: str) -> str:
    """The same JSON without such characters in it; the line ends between its parts stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _json_escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _json_escape(character: str) -> str:
    digits = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{digits[at : at + 4]}" for at in range(0, len(digits), 4))
