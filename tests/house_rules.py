"""The rules of this house that no linter knows; `make check` runs this file, and tests plant a violation of each.

A rule is a small function: it takes one file (tests/house/rules.py), or the whole tree of them
(tests/house/tree_rules.py), and yields what is wrong. Every file counts that git tracks, or would track once added.
Exit code 1 and one line per violation when there is one.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from house.rules import RULES
from house.source import SourceFile, files_of
from house.tree_rules import TREE_RULES

__all__ = ["check", "check_tree", "violations_in"]


def check(file: SourceFile) -> list[str]:
    """Every violation in one file, as `path:line: what`."""
    return [f"{file.path}:{line}: {what}" for rule in RULES for line, what in rule(file)]


def check_tree(files: Sequence[SourceFile]) -> list[str]:
    """What is wrong with no file alone, in the same form."""
    return [line for rule in TREE_RULES for line in rule(files)]


def violations_in(files: Sequence[SourceFile]) -> list[str]:
    """All of them."""
    was_enabled = gc.isenabled()
    gc.disable()  # the trees of all files live to the end: looking for garbage among them takes a third of the time
    try:
        return [line for file in files for line in check(file)] + check_tree(files)
    finally:
        if was_enabled:
            gc.enable()


def main() -> int:
    files = files_of(Path(__file__).parent.parent)
    violations = violations_in(files)
    for line in violations:
        print(line)
    print(f"house rules: {len(files)} files, {len(violations)} violations", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
