"""A copy of a SQLite store that is in use, and a store made of such a copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from reflex.errors import SetupError

__all__ = ["back_up", "back_up_into", "restore", "restore_sent", "send_backup"]

SIDE_FILES: Final = ("-wal", "-shm")
KEPT: Final = "control-" + "[0-9]" * 8 + "T" + "[0-9]" * 9 + "Z.db"
"""Backups in a folder, and nothing else that lies there. By name is by age."""


def back_up(store: Path, target: Path) -> None:
    """Write a whole and consistent copy, for its owner alone; the server may go on writing."""
    if not store.exists():
        raise SetupError(f"there is no store at {store}; name its folder with --data")
    with _whole_or_nothing(target, "backup") as copy:
        _copy(store, copy)


def back_up_into(store: Path, folder: Path, keep: int, now_ms: int) -> Path:
    """A copy in the folder, named by its moment in UTC; with it the `keep` newest stay there. Its path.

    A clock that went back names it as if it were older than others: it stays all the same.
    """
    if not folder.is_dir():
        raise SetupError(
            f"there is no folder {folder} to keep backups in; make it, or leave out --keep to write a file"
        )
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    target = folder / f"control-{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z.db"
    back_up(store, target)
    others = sorted(set(folder.glob(KEPT)) - {target})
    for old in others[: max(len(others) - keep + 1, 0)]:
        old.unlink(missing_ok=True)
    return target


def send_backup(store: Path, out: BinaryIO) -> None:
    """Write a whole copy, and nothing else, to a stream."""
    with _private_file(store, "backup") as copy:
        back_up(store, copy)
        with copy.open("rb") as reading:
            shutil.copyfileobj(reading, out)
    out.flush()


def restore_sent(stream: BinaryIO, store: Path) -> None:
    """As `restore`, of a copy that is read from a stream."""
    with _private_file(store, "backup") as copy:
        with copy.open("wb") as writing:
            shutil.copyfileobj(stream, writing)
        restore(copy, store)


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
    with _private_file(target, what) as beside:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(target)


@contextmanager
def _private_file(target: Path, what: str) -> Iterator[Path]:
    """An empty file in the folder of `target`, removed at the end if it is still there."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    except OSError as exc:
        raise SetupError(f"the {what} cannot be written to {target} ({exc.strerror})") from exc
    os.close(descriptor)
    beside = Path(name)
    try:
        yield beside
    finally:
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
