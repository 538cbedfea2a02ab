"""The files that the rules of this house look at."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

__all__ = ["PRODUCT", "SourceFile", "files_of"]

PRODUCT: Final = ("src/", "frontend/", "export/", "control/", "analysis/")
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
        return () if self.tree is None else tuple(ast.walk(self.tree))

    def line_at(self, offset: int) -> int:
        return self.content.count(b"\n", 0, offset) + 1


def files_of(repository: Path) -> list[SourceFile]:
    """What git tracks or would track; not what is deleted, a link, or ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository, check=True, capture_output=True,
    )  # fmt: skip
    names = sorted({name for name in listing.stdout.decode().split("\0") if name})
    paths = [(name, repository / name) for name in names]
    return [SourceFile(name, path.read_bytes()) for name, path in paths if path.is_file() and not path.is_symlink()]
