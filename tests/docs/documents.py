"""What the tests of the documents read: fenced blocks, links and headings of Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["REPOSITORY", "Block", "anchors_of", "blocks_of", "documents", "links_of"]

REPOSITORY: Final = Path(__file__).parents[2]
FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block; `language` is what stands behind its opening fence, `line` where its first line is."""

    language: str
    code: str
    line: int


def documents() -> list[Path]:
    """Every Markdown file that a reader may open, the README first."""
    return [
        REPOSITORY / "README.md",
        *sorted(path for path in REPOSITORY.glob("*.md") if path.name != "README.md"),
        *sorted((REPOSITORY / "docs").rglob("*.md")),
        *sorted((REPOSITORY / "model_repository").glob("*.md")),
    ]


def blocks_of(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1) for found in FENCED.finditer(text)]


def links_of(document: Path) -> Iterator[tuple[str, str]]:
    """The relative links as (path, anchor); a link within the document has an empty path."""
    prose = FENCED.sub("", document.read_text(encoding="utf-8"))
    for found in LINK.finditer(prose):
        if "://" not in found[1] and not found[1].startswith("mailto:"):
            path, _, anchor = found[1].partition("#")
            yield path, anchor


def anchors_of(document: Path) -> set[str]:
    """The anchors that a Markdown renderer gives the headings: lower case, no punctuation, dashes for spaces."""
    prose = FENCED.sub("", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose)}
