"""A copy of a SQLite store that is in use, and a store made of such a copy."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from reflex.errors import SetupError

__all__ = ["back_up", "restore"]

SIDE_FILES: Final = ("-wal", "-shm")


def back_up(store: Path, target: Path) -> None:
    """Write a whole and consistent copy, for its owner alone; the server may go on writing."""
    if not store.exists():
        raise SetupError(f"there is no store at {store}; name its folder with --data")
    with _whole_or_nothing(target, "backup") as copy:
        _copy(store, copy)


def restore(backup: Path, store: Path) -> None:
    """Put the copy in the place of the store. Nothing may have it open."""
    if not backup.is_file():
        raise SetupError(f"there is no backup at {backup}")
    with _whole_or_nothing(store, "store") as copy:
        _copy(backup, copy)
        for suffix in SIDE_FILES:  # of the store before, whose log would be read into this one
            Path(f"{store}{suffix}").unlink(missing_ok=True)


@contextmanager
def _whole_or_nothing(target: Path, what: str) -> Iterator[Path]:
    """A file beside the target, of its owner alone, that takes its place at the end."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    except OSError as exc:
        raise SetupError(f"the {what} cannot be written to {target} ({exc.strerror})") from exc
    beside = Path(name)
    try:
        yield beside
        os.fsync(descriptor)
        beside.replace(target)
    finally:
        os.close(descriptor)
        for left in (beside, *(Path(f"{beside}{suffix}") for suffix in SIDE_FILES)):
            left.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        _refusing_damage(source),
        closing(sqlite3.connect(uri, uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
        _check(writing)
        writing.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it


def _check(copy: sqlite3.Connection) -> None:
    """A copy is made page by page, whatever stands in them."""
    found = copy.execute("PRAGMA quick_check").fetchone()[0]
    tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master")}
    if found != "ok" or not {"alembic_version", "receipt", "organisation"} <= tables:
        raise SetupError("this is no whole store of a control plane; nothing was changed")


@contextmanager
def _refusing_damage(source: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as exc:
        raise SetupError(f"{source} is no store of a control plane, or is damaged ({exc})") from exc
