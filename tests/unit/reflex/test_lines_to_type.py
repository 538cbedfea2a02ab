"""A line that a message tells to type works as it stands, whatever the paths in it are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PRODUCT = [
    path
    for room in ("src", "export", "frontend", "analysis", "runner", "learning")
    for path in sorted((ROOT / room).rglob("*.py"))
]
BEFORE_A_PATH = re.compile(
    r"(mkdir -p|reflex [a-z][^`]* --(model-repository|repository|file|shared|embodiment|base|stats)) $"
)
"""A command up to an option, whose value is filled in; a sentence about an option is no line to type."""


def unquoted(tree: ast.AST) -> Iterator[int]:
    """Lines of an f-string with a path in a command that no shell would take for one word."""
    for text in ast.walk(tree):
        if not isinstance(text, ast.JoinedStr):
            continue
        for before, value in zip(text.values, text.values[1:], strict=False):
            is_path = isinstance(before, ast.Constant) and BEFORE_A_PATH.search(str(before.value))
            if is_path and isinstance(value, ast.FormattedValue) and "quote(" not in ast.unparse(value.value):
                yield value.lineno


@pytest.mark.slow
@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_in_a_line_to_type_is_quoted(path: Path) -> None:
    assert list(unquoted(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ('say(f"next: reflex serve --model-repository {folder}")', [1]),
        ('say(f"next: reflex serve --model-repository {shlex.quote(str(folder))}")', []),
        ('say(f"make it: mkdir -p {path.parent}")', [1]),
        ('say(f"--stats {path} is no file")', []),
    ],
)
def test_an_unquoted_one_is_found(code: str, lines: list[int]) -> None:
    assert list(unquoted(ast.parse(code))) == lines
