"""Expressions in an adapter's config that name modules: what PEFT's users write, matched in bounded time.

A stranger's expression may take for ever in Python's `re`. Here each part maps the places of a name at which it may
begin to those at which it may end, all at once, so that nothing is tried twice. What goes beyond this is refused:

    a  \\.  .  \\d  \\w  [qv]   one character          ^  $          the name's ends
    x|y  (x)  (?:x)           one of several         *  +  ?  {2}   as often as that, shortest or longest alike
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reflex_export.errors import CheckpointError, UnsupportedOptionError

__all__ = ["NamePattern", "compile_pattern"]

MAX_EXPRESSION_LENGTH: Final = 8192
"""A hundred whole names take half of it; more of them are written as a list."""
MAX_DEPTH: Final = 16
"""Of groups in groups."""

_TOKEN: Final = re.compile(
    r"(?P<open>\((?:\?:|(?!\?)))|(?P<close>\))|(?P<bar>\|)|(?P<start>\^)|(?P<end>\$)"
    r"|(?P<times>(?:[*+?]|\{\d{1,2}(?:,\d{0,2})?\})\??(?![*+?{]))"
    r"|(?P<one>\\[dDwWsS.\-_/]|\[\^?(?:[\w.\-]|\\[dw.\-])+\]|[^\\\[\](){}|*+?^$])",
    re.ASCII,
)
_TIMES: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}

Places = frozenset[int]
Part = Callable[[str, Places], Places]
"""From the places of a name where a part may begin to those where it may end."""


@dataclass(frozen=True)
class NamePattern:
    """An expression that is ready to be matched."""

    expression: str
    part: Part

    def is_whole(self, name: str) -> bool:
        """Whether it is the whole name."""
        return len(name) in self.part(name, frozenset({0}))

    def is_end(self, name: str) -> bool:
        """Whether it is the name, or the end of it after a dot."""
        begins = (place + 1 for place, letter in enumerate(name) if letter == ".")
        return len(name) in self.part(name, frozenset({0, *begins}))


def compile_pattern(expression: str, what: str) -> NamePattern:
    """`CheckpointError`, which calls it `what`, when it is no expression or one beyond what is matched here."""
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise UnsupportedOptionError(
            f"{what} has an expression of {len(expression):,} characters, more than the {MAX_EXPRESSION_LENGTH:,} that "
            "are matched; write the modules' names as a list"
        )
    parser = _Parser(expression, what)
    part = parser.alternatives(0)
    if parser.place < len(expression):
        raise parser.no_expression("a ) too many")
    return NamePattern(expression, part)


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, expression: str, what: str) -> None:
        self.expression = expression
        self.what = what
        self.place = 0
        self.repeats = 0
        """So many repetitions were read."""

    def alternatives(self, depth: int) -> Part:
        if depth > MAX_DEPTH:
            raise self._beyond(f"more than {MAX_DEPTH} groups in each other")
        parts = [self._sequence(depth)]
        while self._next("bar"):
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else _any_of(parts)

    def no_expression(self, why: str) -> CheckpointError:
        return CheckpointError(
            f"{self.what} has {self.expression!r:.60}, which is no regular expression ({why}); fetch the adapter again"
        )

    def _sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self.place < len(self.expression) and self.expression[self.place] not in "|)":
            repeats = self.repeats
            part = self._one(depth)
            times = self._next("times")
            parts.append(self._repeated(part, times, is_plain=repeats == self.repeats) if times else part)
        return _all_of(parts)

    def _one(self, depth: int) -> Part:
        if self._next("open"):
            part = self.alternatives(depth + 1)
            if not self._next("close"):
                raise self.no_expression("a ) is missing")
            return part
        if self._next("start"):
            return lambda _, begins: begins & {0}
        if self._next("end"):
            return lambda name, begins: begins & {len(name)}
        if found := self._next("one"):
            return self._letter(found)
        raise self._beyond(f"{self.expression[self.place :]!r:.20}")

    def _letter(self, found: str) -> Part:
        try:
            return _letter(re.compile(found))
        except re.error as exc:
            raise self.no_expression(str(exc)) from exc

    def _repeated(self, part: Part, times: str, *, is_plain: bool) -> Part:
        least, most = _times(times)
        if most is not None and most < least:
            raise self.no_expression(f"{times} is never")
        if (least, most) == (0, 1):
            return _any_of([part, _all_of([])])
        if not is_plain:
            raise self._beyond("a repetition of a repetition")
        self.repeats += 1
        return _repeated(part, least, most)

    def _next(self, kind: str) -> str:
        """What comes next, if it is of that kind, and steps over it."""
        found = _TOKEN.match(self.expression, self.place)
        if found is None or found.lastgroup != kind:
            return ""
        self.place = found.end()
        return found[0]

    def _beyond(self, why: str) -> UnsupportedOptionError:
        return UnsupportedOptionError(
            f"{self.what} has {self.expression!r:.60}, which goes beyond the expressions that are matched here "
            f"({why}); write the modules' names instead, or merge the adapter with PEFT where it was trained"
        )


def _times(written: str) -> tuple[int, int | None]:
    if written[0] in _TIMES:
        return _TIMES[written[0]]
    least, comma, most = written[1 : written.index("}")].partition(",")
    return int(least), (int(most) if most else None) if comma else int(least)


def _letter(letter: re.Pattern[str]) -> Part:
    return lambda name, begins: frozenset(place + 1 for place in begins if letter.match(name, place))


def _any_of(parts: list[Part]) -> Part:
    return lambda name, begins: frozenset().union(*(part(name, begins) for part in parts))


def _all_of(parts: list[Part]) -> Part:
    def ends(name: str, begins: Places) -> Places:
        for part in parts:
            if not begins:
                return begins
            begins = part(name, begins)
        return begins

    return ends


def _repeated(part: Part, least: int, most: int | None) -> Part:
    def ends(name: str, begins: Places) -> Places:
        for _ in range(least):
            begins = part(name, begins)
        found = fresh = begins
        left = len(name) if most is None else most - least
        while fresh and left > 0:
            fresh = part(name, fresh) - found
            found, left = found | fresh, left - 1
        return found

    return ends
