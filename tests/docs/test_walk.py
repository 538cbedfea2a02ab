"""The walk in CONTRIBUTING leads where it says: each file is there and holds the symbol that is named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs.documents import REPOSITORY

SECTION = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## I want to change X, where?\n")[1]
STEPS = re.findall(r"^\| (.+?) \| `([^`]+)`: `([^`]+)` \|", SECTION.split("\n## ")[0], re.MULTILINE)


def names_in(path: Path) -> set[str]:
    """What a module defines at its top; every word of any other file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"[\w.-]+", text))
    named = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            named.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named |= {target.id for target in targets if isinstance(target, ast.Name)}
    return named


def test_the_walk_has_at_least_twelve_steps_and_no_line_that_is_not_read() -> None:
    rows = [line for line in SECTION.split("\n## ")[0].splitlines() if line.startswith("| ") and "`" in line]

    assert len(STEPS) >= 12
    assert len(rows) == len(STEPS)


@pytest.mark.parametrize(("what", "path", "symbol"), STEPS, ids=[step[0] for step in STEPS])
def test_a_step_of_the_walk_leads_to_its_symbol(what: str, path: str, symbol: str) -> None:
    assert symbol in names_in(REPOSITORY / path), f"{what}: {path} has no {symbol}"
