"""One thing to be done to a recording, and how to do it: what is only said in a dry run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

__all__ = ["Did", "Step", "removal"]

Did = Literal["finished", "removed", "summed up"]


@dataclass(frozen=True, slots=True)
class Step:
    """`do` does it; doing it again is harmless."""

    path: Path
    did: Did
    detail: str
    do: Callable[[], object]


def removal(path: Path, why: str) -> Step:
    """Take a file or a folder away."""
    if path.is_dir():
        return Step(path, "removed", why, partial(shutil.rmtree, path, ignore_errors=True))
    return Step(path, "removed", why, partial(path.unlink, missing_ok=True))
