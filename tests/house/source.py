"""The files that the rules of this house look at."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar, cast

__all__ = ["PRODUCT", "SourceFile", "files_of"]

Node = TypeVar("Node", bound=ast.AST)

PRODUCT: Final = ("src/", "frontend/", "export/", "control/", "analysis/", "runner/", "learning/", "integrations/")
"""Where the code lies that users run."""


@dataclass(frozen=True)
class SourceFile:
    """One file; `path` is relative to the repository, with slashes."""

    path: str
    content: bytes

    @cached_property
    def text(self) -> str | None:
        """None for a binary file."""
        try:
            return None if b"\0" in self.content else self.content.decode()
        except UnicodeDecodeError:
            return None

    @cached_property
    def tree(self) -> ast.Module | None:
        """None for what is not Python."""
        return ast.parse(self.text) if self.path.endswith(".py") and self.text is not None else None

    @property
    def is_product(self) -> bool:
        return self.tree is not None and self.path.startswith(PRODUCT)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of the tree, the outer ones first; a dozen rules look at each."""
        return () if self.tree is None else tuple(_walk(self.tree))

    def of_kind(self, *kinds: type[Node]) -> Iterator[Node]:
        """Those nodes that are exactly of one of these kinds, one kind after the other."""
        for kind in kinds:
            yield from cast("list[Node]", self._by_kind.get(kind, []))

    @cached_property
    def _by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        found: dict[type[ast.AST], list[ast.AST]] = {}
        for node in self.nodes:
            found.setdefault(node.__class__, []).append(node)
        return found

    def line_at(self, offset: int) -> int:
        return self.content.count(b"\n", 0, offset) + 1


def _walk(tree: ast.AST) -> list[ast.AST]:
    """What `ast.walk` yields, in the same order, in a third of the time: there are a million nodes in a repository."""
    nodes = [tree]
    for node in nodes:  # which grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif isinstance(value, list):
                nodes.extend(each for each in value if isinstance(each, ast.AST))
    return nodes


def files_of(repository: Path) -> list[SourceFile]:
    """What git tracks or would track; not what is deleted, a link, or ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository, check=True, capture_output=True,
    )  # fmt: skip
    names = sorted({name for name in listing.stdout.decode().split("\0") if name})
    paths = [(name, repository / name) for name in names]
    return [SourceFile(name, path.read_bytes()) for name, path in paths if path.is_file() and not path.is_symlink()]
