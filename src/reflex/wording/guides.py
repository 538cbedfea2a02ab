"""Where a message sends its reader to read on: pages that lie in a checkout, and in no wheel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from reflex.wording.origin import Origin, find_origin, from_here

__all__ = ["TITLES", "Guide", "guide"]

Guide = Literal["embodiments", "export"]

TITLES: Final[Mapping[Guide, str]] = {
    "embodiments": "Embodiments",
    "export": "From a LeRobot checkpoint to /act",
}
"""As each page has it in its first line; one finds it by that wherever the documentation is read."""


def guide(page: Guide, section: str | None = None, *, origin: Origin | None = None) -> str:
    """The page's file where there is one, else its title; with the section."""
    root = (find_origin() if origin is None else origin).path
    file = None if root is None else root / "docs" / f"{page}.md"
    if root is not None and file is not None and file.is_file():
        return f"{file.relative_to(root) if from_here(root) == '.' else file}{f'#{section}' if section else ''}"
    within = f' (its section "{section}")' if section else ""
    return f'the page "{TITLES[page]}" of Reflex\'s documentation{within}'
