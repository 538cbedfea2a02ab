"""What a GPU's compiler made of a graph, kept between starts.

    <root>/<sha256 of all that it depends on>/    written beside, and renamed when it is whole

The provider writes when its session ends, and a process may be killed at any time. So the first session is ended as
soon as it has been warmed up; the next one, and those of all later starts, begin with what it left.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

__all__ = ["cache_key", "cached"]

T = TypeVar("T")


def cache_key(graph: Path, parts: Iterable[str]) -> str:
    """Of the graph's file and of what else a compiled graph depends on."""
    with graph.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    for part in parts:
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()


def cached(root: Path, graph: Path, parts: Iterable[str], opened: Callable[[Path | None], T]) -> T:
    """What `opened` gives with the folder of this graph, which is filled first when there is none."""
    place = root / cache_key(graph, parts)
    try:
        if not place.is_dir():
            _fill(place, opened)
    except OSError:  # a full or read-only disk: the graph is compiled at each start
        return opened(None)
    return opened(place if place.is_dir() else None)


def _fill(place: Path, opened: Callable[[Path | None], T]) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".filling-", dir=place.parent) as scratch:
        fresh = Path(scratch) / "cache"
        fresh.mkdir()
        session = opened(fresh)
        del session
        if not any(fresh.iterdir()):
            return
        try:
            fresh.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster, with the same
                raise
            shutil.rmtree(fresh, ignore_errors=True)
