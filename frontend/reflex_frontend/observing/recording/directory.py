"""The directory of recordings: the names in it, and the cap on what they take together."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex_frontend.observing.recording.trace_file import is_being_written

__all__ = ["enforce_cap", "episode_name", "file_name", "hour_name", "prepare_directory"]

OUR_FILES: Final = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\dZ|episode-[0-9a-f]{16})_[0-9a-f]{8}_\d+\.jsonl\.gz")
EPISODE_DIGITS: Final = 16
PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What may be over soon: no reason not to serve."""


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    size_bytes: int
    changed_at_ns: int


def prepare_directory(directory: Path) -> None:
    """Make it if it is not there. A full or read-only disk is no error here: the recorder says so and tries again."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if exc.errno not in PASSING:
            raise SetupError(
                f"--record: the directory cannot be made ({exc.strerror}); name one in a place that this user may write"
            ) from exc


def hour_name(at: float) -> str:
    """`2026-11-21T14Z` of Unix seconds."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%HZ")


def episode_name(episode_id: str) -> str:
    """An id can hold anything printable, slashes too; its digest cannot."""
    return f"episode-{hashlib.sha256(episode_id.encode()).hexdigest()[:EPISODE_DIGITS]}"


def file_name(stem: str, server_id: str, number: int) -> str:
    return f"{stem}_{server_id}_{number}.jsonl.gz"


def enforce_cap(directory: Path, max_bytes: int, max_files: int = sys.maxsize) -> int:
    """Remove the oldest recordings, of whichever server, until the rest is under both caps; how many went.

    Never one that is being written, by this process or another, nor any file that does not have a recording's name: if
    those alone are more, more it is.
    """
    found = sorted(_recordings(directory), key=lambda file: (file.changed_at_ns, file.path))
    excess_bytes = sum(file.size_bytes for file in found) - max_bytes
    removed = 0
    for file in found:
        if excess_bytes <= 0 and len(found) - removed <= max_files:
            break
        if _remove_if_closed(file.path):
            excess_bytes -= file.size_bytes
            removed += 1
    return removed


def _recordings(directory: Path) -> list[_Found]:
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if OUR_FILES.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # another server was quicker
                    status = entry.stat(follow_symlinks=False)
                    found.append(_Found(entry.path, status.st_size, status.st_mtime_ns))
    return found


def _remove_if_closed(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, PermissionError):  # gone, or another user's
        return False
    try:
        if is_being_written(descriptor):
            return False
        os.unlink(path)  # noqa: PTH108 - scandir gives text
    except (FileNotFoundError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True
