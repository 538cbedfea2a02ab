"""From one entry under `cameras` in robot.yaml to a camera."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reflex.errors import SetupError
from reflex_runner.cameras.camera import Camera

__all__ = ["KINDS", "build_camera"]

KINDS: Final[Mapping[str, str]] = {
    "opencv": "reflex_runner.cameras.opencv",
    "shm": "reflex_runner.cameras.shm",
    "file": "reflex_runner.cameras.file",
}
"""By the module that builds it."""


def build_camera(kind: str, cfg: Mapping[str, Any], *, name: str = "camera", folder: Path | None = None) -> Camera:
    """The camera of this kind, not started yet; `name` is what messages call it. Relative paths begin at `folder`.

    `SetupError` says what is wrong in the settings.
    """
    if kind == "sim":
        raise SetupError(
            f"cameras.{name}: the simulator brings its own cameras; name them by hardware.cameras, and leave this out"
        )
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(KINDS)}"
        raise SetupError(f"cameras.{name}.kind: no camera is called {kind!r}; {meant}")
    folder = Path.cwd() if folder is None else folder.resolve()
    made: Camera = importlib.import_module(KINDS[kind]).build(cfg, name, folder)
    return made
