"""Tables in which every two levels of any two parameters meet in at least one row, at a fraction of all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

__all__ = ["Row", "pairs_of", "pairwise"]

Row = dict[str, str]
"""One level's name for each parameter."""
Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs_of(row: Row) -> set[Pair]:
    return {((one, row[one]), (other, row[other])) for one, other in combinations(sorted(row), 2)}


def pairwise(levels: Mapping[str, Sequence[str]]) -> list[Row]:
    """Greedy: each row starts with a pair that is still missing and takes whatever adds most others. Deterministic."""
    missing = _all_pairs(levels)
    rows: list[Row] = []
    while missing:
        row = dict(min(missing))
        for name in sorted(levels.keys() - row.keys(), key=lambda each: (-len(levels[each]), each)):
            row[name] = max(levels[name], key=lambda level: len(pairs_of({**row, name: level}) & missing))
        missing -= pairs_of(row)
        rows.append(row)
    return rows


def _all_pairs(levels: Mapping[str, Sequence[str]]) -> set[Pair]:
    return {
        ((one, first), (other, second))
        for one, other in combinations(sorted(levels), 2)
        for first, second in product(levels[one], levels[other])
    }
