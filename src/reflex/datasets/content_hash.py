"""The hash of what a dataset holds: the same wherever it lies, another one as soon as a byte of it changes."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.datasets.layout import DATA_FOLDER, INFO_FILE, VIDEOS_FOLDER
from reflex.errors import SetupError

__all__ = ["CONTENT_HASH", "ContentHash", "content_hash", "looks_of"]

CONTENT_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
FOLDERS: Final = ("meta", DATA_FOLDER, VIDEOS_FOLDER, "images")
"""What LeRobot reads. A README, or what a download leaves beside it, is no content."""
MOST_FILES: Final = 1_000_000
PIECE_BYTES: Final = 1024 * 1024

Told = Callable[[int, int], None]
"""How many bytes of how many have been read."""
Looks = tuple[tuple[str, int, int], ...]
"""Name, size and moment of the last change of each file."""


@dataclass(frozen=True, slots=True)
class ContentHash:
    """`value` is `sha256:` and 64 hexadecimal digits; `looks` are those of the files when they were read."""

    value: str
    files: int
    size_bytes: int
    looks: Looks


def content_hash(root: Path, tell: Told | None = None) -> ContentHash:
    """Read every file once, in bounded memory. `SetupError` for what is no dataset, or changes while it is read."""
    before = looks_of(root)
    size = sum(each[1] for each in before)
    whole, done = hashlib.sha256(), 0
    for name, length, _ in before:
        of_file = hashlib.sha256()
        for piece in _pieces(root / name):
            of_file.update(piece)
            done += len(piece)
            if tell is not None:
                tell(min(done, size), size)
        whole.update(f"{of_file.hexdigest()} {length} {name}\n".encode())
    if looks_of(root) != before:
        raise SetupError(f"{root} changed while it was read; wait until nothing writes to it, and do this again")
    return ContentHash(f"sha256:{whole.hexdigest()}", len(before), size, before)


def looks_of(root: Path) -> Looks:
    """By which it is noticed that somebody wrote to the dataset, without reading it. In the order of the names."""
    if not (root / INFO_FILE).is_file():
        raise SetupError(f"there is no LeRobot dataset at {root}: it has no {INFO_FILE}; name its folder")
    found = [_look(root, path) for folder in FOLDERS for path in _files(root / folder, frozenset())]
    if len(found) > MOST_FILES:
        raise SetupError(f"{root} holds more than {MOST_FILES:,} files; a dataset has fewer")
    return tuple(sorted(found))


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Also behind links: a copy in the cache of the hub links to its blobs, large videos may lie on another disk."""
    real = os.path.realpath(folder)
    if real in above or not folder.is_dir():
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir():
                yield from _files(Path(entry.path), above | {real})
            elif not entry.name.startswith("."):
                yield Path(entry.path)
    except OSError as exc:
        raise SetupError(f"{folder} cannot be read ({exc.strerror}); copy the dataset anew") from exc


def _look(root: Path, path: Path) -> tuple[str, int, int]:
    name = path.relative_to(root).as_posix()
    try:
        found = path.stat()
        name.encode()
    except (OSError, UnicodeError) as exc:
        raise SetupError(f"{path} cannot be read ({exc}); copy the dataset anew") from exc
    if not stat.S_ISREG(found.st_mode):
        raise SetupError(f"{path} is no file; copy the dataset anew")
    return name, found.st_size, found.st_mtime_ns


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    except OSError as exc:
        raise SetupError(f"{path} cannot be read ({exc.strerror}); copy the dataset anew") from exc
