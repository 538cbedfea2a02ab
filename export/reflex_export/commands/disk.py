"""What a disk refuses, in a sentence: gigabytes are written, and there may be no room for them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reflex.errors import SetupError

__all__ = ["disk_faults_told", "reason_of"]


@contextlib.contextmanager
def disk_faults_told(folder: Path) -> Iterator[None]:
    """`SetupError` with the place for what could not be written or read; a write alone does not say where it was.

    `folder` is what is written to, beside temporary files.
    """
    try:
        yield
    except BrokenPipeError:  # of who reads what is said
        raise
    except OSError as exc:
        where = exc.filename or f"{folder}, or the folder for temporary files {tempfile.gettempdir()} (TMPDIR),"
        raise SetupError(f"{where} cannot be written or read ({reason_of(exc)}); mend that, and try again") from exc


def reason_of(exc: OSError) -> str:
    """Of a folder's copy, in which several may have failed, the first."""
    several = exc.args[0] if isinstance(exc, shutil.Error) and isinstance(exc.args[0], list) else []
    return exc.strerror or (str(several[0][-1]) if several else str(exc))
