"""The folder of one embedded Triton: its socket, and its temporary files. Its owner alone may enter.

Triton asks nobody for a password, and who can load a model runs code in it. So it listens on no port: who may connect
is what the file system says of this folder. Its name says whose it is, as those of shared memory do; see cleanup.py.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from reflex_frontend.embedded.cleanup import owner_prefix, remove_folders_of_dead_owners
from reflex_frontend.embedded.layout import is_shell_safe

__all__ = ["PORT", "RunFolder"]

PORT: Final = 1
"""Triton puts `:PORT` behind whatever address it is given."""
LONGEST_SOCKET_PATH: Final = 107
"""Of Linux (unix(7))."""
SYSTEM_FOLDER: Final = "/tmp"  # noqa: S108 - where mkdtemp makes a folder that nobody else may enter


class RunFolder:
    """Made for this user alone, below TMPDIR where its path is short and plain enough, else below /tmp."""

    def __init__(self, below: str | None = None) -> None:
        parent = below or tempfile.gettempdir()
        if not is_shell_safe(parent) or len(f"{parent}/{owner_prefix()}12345678/grpc:{PORT}") > LONGEST_SOCKET_PATH:
            parent = SYSTEM_FOLDER
        remove_folders_of_dead_owners(Path(parent))
        self.path = Path(tempfile.mkdtemp(prefix=owner_prefix(), dir=parent))
        self.temporary.mkdir(mode=0o700)

    @property
    def listens_at(self) -> str:
        """What Triton is told."""
        return f"unix:{self.path}/grpc"

    @property
    def address(self) -> str:
        """What its clients are told, in gRPC's words."""
        return f"{self.listens_at}:{PORT}"

    @property
    def temporary(self) -> Path:
        """TMPDIR of Triton and its models."""
        return self.path / "tmp"

    def clear(self) -> None:
        """Remove what an ended Triton has left. What cleans /tmp on this machine may have been there before."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # without its folder the next Triton says itself that it cannot listen
            self.temporary.mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
