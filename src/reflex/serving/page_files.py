"""What the files of our pages are, by their endings: the server's, the dashboard's and a run's say it alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["media_type"]

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)


def media_type(name: str) -> str:
    """For `Content-Type`; browsers are told not to guess. `KeyError` for a file that belongs to no page."""
    return MEDIA_TYPES[name[name.rindex(".") :]]
