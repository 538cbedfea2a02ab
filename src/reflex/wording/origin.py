"""Where the running Reflex comes from: a checkout whose files run, one that was copied, an archive, or an index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

__all__ = ["DISTRIBUTION", "Origin", "checkout_of", "find_origin", "from_here", "origin_in"]

DISTRIBUTION: Final = "reflex-act"


@dataclass(frozen=True, slots=True)
class Origin:
    """`path` is a checkout's root or an archive, `url` what pip fetched it by; with neither it came by its name."""

    path: Path | None = None
    url: str | None = None
    is_editable: bool = False
    """The checkout's own files run, and what changes there counts at once."""


def find_origin() -> Origin:
    """That of this very code, whatever else may be installed beside it."""
    checkout = checkout_of(Path(__file__).resolve().parents[3])
    return Origin(checkout, is_editable=True) if checkout is not None else origin_in(_direct_url())


def checkout_of(root: Path) -> Path | None:
    """`root` when it is a checkout of Reflex, else None."""
    import tomllib

    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        return root if project["project"]["name"] == DISTRIBUTION else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def origin_in(direct_url: str | None) -> Origin:
    """What pip wrote down in direct_url.json. A folder or file that is no longer there is none."""
    told: dict[str, Any] = json.loads(direct_url) if direct_url is not None else {}
    url = str(told.get("url", ""))
    path = Path(unquote(urlsplit(url).path))
    if url.startswith("file:"):
        return Origin(path) if path.is_file() or checkout_of(path) is not None else Origin()
    if "vcs_info" in told:
        return Origin(url=_with_revision(url, told["vcs_info"]))
    return Origin(url=url or None)


def from_here(path: Path) -> str:
    """`.` where the path is the current directory."""
    try:
        return "." if path.samefile(Path.cwd()) else str(path)
    except OSError:  # the current directory was removed
        return str(path)


def _with_revision(url: str, vcs: dict[str, str]) -> str:
    revision = vcs.get("requested_revision")
    return f"{vcs['vcs']}+{url}{f'@{revision}' if revision else ''}"


def _direct_url() -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
