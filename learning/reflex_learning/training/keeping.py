"""What a worker keeps of runs that have ended: the model and the log, and of those as many as there is room for.

Nothing of a run that may still go on is touched: one has ended when its worker has said so to the queue, or when the
control plane says that it has.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reflex.durable_files import replace_file
from reflex_learning.training.checkpoints import (
    keep_model_of,
    last_checkpoint,
    linked_checkpoint,
)

__all__ = ["CACHE", "KEPT_BYTES", "OUTPUT", "begin", "collect", "settle"]

logger = logging.getLogger("reflex.training")

KEPT_BYTES: Final = 100 * 10**9
"""By default: two thousand small policies, or a dozen of pi0."""
MARK: Final = "ended"
OUTPUT: Final = "training"
CACHE: Final = "cache"
"""The trainer's copy of the dataset."""


def begin(folder: Path) -> None:
    """A run is worked on in this folder: it has not ended, whatever a control plane before may have said."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).unlink(missing_ok=True)


def settle(folder: Path, *, keeps_model: bool = True) -> None:
    """The run has ended: of its last checkpoint the model stays, and the log. May be done twice."""
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    output = folder / OUTPUT
    last = (last_checkpoint(output) or linked_checkpoint(output)) if keeps_model else None
    if last is None:
        shutil.rmtree(output, ignore_errors=True)
    else:
        keep_model_of(last)
    with contextlib.suppress(OSError):  # on a full disk; then the control plane is asked
        replace_file(folder / MARK, b"")


def collect(runs: Path, kept_bytes: int, has_ended: Callable[[str], bool]) -> list[str]:
    """Settle what has ended elsewhere, and remove the oldest ended runs beyond `kept_bytes`, never the newest."""
    for folder in _folders(runs):
        if not (folder / MARK).is_file() and has_ended(folder.name):
            settle(folder)
    ended = [folder for folder in _folders(runs) if (folder / MARK).is_file()]
    ended.sort(key=lambda folder: (folder / MARK).stat().st_mtime_ns, reverse=True)
    removed, size = [], 0
    for number, folder in enumerate(ended):
        size += _bytes_in(folder)
        if number > 0 and size > kept_bytes:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    if removed:
        logger.warning("removed of runs that ended, for want of the room that they may take: %s", ", ".join(removed))
    return removed


def _folders(runs: Path) -> Iterator[Path]:
    if runs.is_dir():
        yield from sorted(each for each in runs.iterdir() if each.is_dir() and not each.is_symlink())


def _bytes_in(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
