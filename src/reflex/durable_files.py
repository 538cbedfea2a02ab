"""Files and folders that appear whole or not at all, also after a power cut: written beside, synced, renamed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["copy_file", "link_file", "partial_of", "replace_file", "sync", "sync_tree", "take_name"]


def partial_of(path: Path) -> Path:
    """Where a file is written before it takes its name. One writer at a time: what a killed one left is overwritten."""
    return path.with_name(f".{path.name}.partial")


def replace_file(path: Path, content: bytes) -> None:
    """Give `path` this content."""
    partial = partial_of(path)
    partial.write_bytes(content)
    take_name(partial, path)


def copy_file(source: Path, path: Path) -> None:
    """Give `path` the content of `source`, gigabytes as well."""
    partial = partial_of(path)
    shutil.copyfile(source, partial)
    take_name(partial, path)


def link_file(source: str, target: str) -> None:
    """A second name for a file, or a copy where the file system has no links. `replace_file` leaves the first alone."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def take_name(partial: Path, path: Path) -> None:
    """Rename a finished file or folder; on return it is on disk under its name, in place of a file that had it."""
    # Before the rename: else a power cut can leave the name with half the content.
    sync_tree(partial)
    partial.rename(path)
    sync(path.parent)


def sync_tree(path: Path) -> None:
    """`sync` for a file, or for a folder and everything in it."""
    if not path.is_dir():
        sync(path)
    for parent, _folders, files in os.walk(path):
        for name in files:
            sync(Path(parent, name))
        sync(Path(parent))


def sync(path: Path) -> None:
    """Return when the file's content, or the folder's entries, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
