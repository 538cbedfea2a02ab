"""Disks that are small or cannot be written: a real one where this user may mount, else the next best thing."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["limit_file_size", "read_only", "small_disk"]


@contextlib.contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[bool]:
    """A file system of its own at `folder`; False when this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
    is_mounted = os.getuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """No file can be made or written in `folder`, not even by root where that may mount."""
    if os.getuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    with small_disk(folder, 64):
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield


def limit_file_size(pid: int, size_kib: int) -> None:
    """From now on a write of that process fails when a file would grow beyond the size."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_kib * 1024, size_kib * 1024))
