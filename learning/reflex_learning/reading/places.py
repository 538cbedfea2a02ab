"""Files of a dataset: regular ones inside its folder. A copy in the cache of the hub links to its blobs beside it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reflex_learning.errors import DatasetError

__all__ = ["files_under", "is_inside", "read_object", "regular_file"]

MOST_FILES: Final = 1_000_000
MOST_JSON_BYTES: Final = 64 * 1024 * 1024


def regular_file(root: Path, relative: str) -> Path:
    """A file that may be opened; `DatasetError` when it is not there, is none, or lies elsewhere."""
    path = root / relative
    if not is_inside(root, path):
        raise DatasetError(f"{relative} leads out of the dataset; copy what it stands for into {root}")
    try:
        mode = path.stat().st_mode
    except OSError as exc:
        raise DatasetError(f"{relative} cannot be read ({exc.strerror}); copy the dataset anew") from exc
    if not stat.S_ISREG(mode):
        raise DatasetError(f"{relative} is no file; copy the dataset anew")
    return path


def is_inside(root: Path, path: Path) -> bool:
    """Whether what it stands for lies in the folder, or in the blobs of a cache of the hub."""
    try:
        home, real = root.resolve(), path.resolve()
    except (OSError, RuntimeError, ValueError):
        return False
    blobs = home.parent.parent / "blobs"
    return real.is_relative_to(home) or (home.parent.name == "snapshots" and real.parent == blobs)


def files_under(root: Path, folder: str) -> Iterator[str]:
    """Names of all files in the folder and in those below it, relative to `root`, sorted; no link is followed."""
    found: list[str] = []
    for where, _, names in os.walk(root / folder):
        found += [Path(where, name).relative_to(root).as_posix() for name in names]
        if len(found) > MOST_FILES:
            raise DatasetError(f"{folder} holds more than {MOST_FILES:,} files; a dataset has fewer")
    yield from sorted(found)


def read_object(root: Path, relative: str) -> Mapping[str, Any]:
    """A file with one JSON object."""
    path = regular_file(root, relative)
    if path.stat().st_size > MOST_JSON_BYTES:
        raise DatasetError(f"{relative} is larger than {MOST_JSON_BYTES // 2**20} MiB; copy the dataset anew")
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise DatasetError(f"{relative} is no JSON; copy the dataset anew") from exc
    if not isinstance(found, Mapping):
        raise DatasetError(f"{relative} holds no JSON object; copy the dataset anew")
    return found
