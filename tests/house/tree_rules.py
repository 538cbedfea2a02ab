"""The rules that look at the whole tree: each yields what is wrong with no file alone."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from house.mirror import misplaced
from house.rules import ENVIRONMENT_READERS
from house.source import SourceFile
from house.syntax import environment_lines, functions, lines_of

__all__ = ["TREE_RULES", "TreeRule"]

MAX_MEDIAN_FUNCTION_LINES: Final = 7
MAX_MODULES_IN_A_FOLDER: Final = 20

TreeRule = Callable[[Sequence[SourceFile]], Iterator[str]]


def no_stale_exceptions(files: Sequence[SourceFile]) -> Iterator[str]:
    """An entry of ENVIRONMENT_READERS that reads no environment, or is no longer there, excuses whatever comes next."""
    readers = {file.path for file in files if any(environment_lines(file))}
    for path in sorted(ENVIRONMENT_READERS.keys() - readers):
        yield f"{path}:1: reads no environment; take its exception away"


def folders_are_short(files: Sequence[SourceFile]) -> Iterator[str]:
    """One sees at a glance what a folder holds; beyond that it has parts, which want folders and names."""
    modules = Counter(file.path.rpartition("/")[0] for file in files if file.tree is not None)
    for folder, number in sorted(modules.items()):
        if number > MAX_MODULES_IN_A_FOLDER:
            yield f"{folder}:1: {number} modules in one folder; at most {MAX_MODULES_IN_A_FOLDER}"


def most_functions_are_short(files: Sequence[SourceFile]) -> Iterator[str]:
    """A limit alone lets every function grow up to it."""
    lines = [lines_of(node) for file in files if file.is_product for node in functions(file)]
    median = statistics.median(lines) if lines else 0
    if median > MAX_MEDIAN_FUNCTION_LINES:
        yield f".:1: the median function of the product has {median:g} lines; at most {MAX_MEDIAN_FUNCTION_LINES}"


def tests_lie_where_their_module_lies(files: Sequence[SourceFile]) -> Iterator[str]:
    """One finds a module's tests without a search, and a module that moves takes them along."""
    yield from misplaced(files)


TREE_RULES: Final[tuple[TreeRule, ...]] = (
    no_stale_exceptions,
    folders_are_short,
    most_functions_are_short,
    tests_lie_where_their_module_lies,
)
