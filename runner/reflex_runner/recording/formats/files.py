"""Names in a recording: what is open ends in `.open` until it is whole, and is readable by its owner alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from reflex.durable_files import sync, take_name

__all__ = ["OPEN", "begin_file", "begin_folder", "episode_name", "open_name", "private_folder", "seal", "text_of"]

OPEN: Final = ".open"
OWNER_FILE: Final = 0o600
OWNER_FOLDER: Final = 0o700


def episode_name(number: int) -> str:
    """`episode-000012`"""
    return f"episode-{number:06d}"


def open_name(path: Path) -> Path:
    """What a file or folder is called until it is whole."""
    return path.with_name(path.name + OPEN)


def private_folder(path: Path) -> Path:
    """Make it, and those above it that are missing; pictures of people's homes are for their owner."""
    path.mkdir(parents=True, exist_ok=True, mode=OWNER_FOLDER)
    return path


def begin_file(path: Path) -> IO[bytes]:
    """Open `path` under its open name, empty."""
    private_folder(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(open_name(path), flags, OWNER_FILE), "wb")


def begin_folder(path: Path) -> Path:
    """Make the folder under its open name."""
    return private_folder(open_name(path))


def seal(path: Path) -> None:
    """Give what is open its name; a file is on disk then. A folder holds thousands: those are not waited for."""
    partial = open_name(path)
    if partial.is_dir():
        partial.rename(path)
        sync(path.parent)
        return
    partial.chmod(OWNER_FILE)
    take_name(partial, path)


def text_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts for formats whose metadata are texts; what is not known is left out."""
    told = {key: value for key, value in facts.items() if value not in (None, "", {}, ())}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}
