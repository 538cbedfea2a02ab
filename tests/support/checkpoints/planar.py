"""A robot of two axes, as the recorded Diffusion Policy drives one."""

from __future__ import annotations

import json
from pathlib import Path

from reflex.embodiments import bundled_embodiments

__all__ = ["two_axes"]


def two_axes(path: Path) -> str:
    """An embodiment as wide as the recorded policy."""
    arm = json.loads((Path(bundled_embodiments.__code__.co_filename).parent / "ur5.json").read_text())
    short = {key: value[:2] if isinstance(value, list) and key != "sources" else value for key, value in arm.items()}
    path.write_text(json.dumps({**short, "name": "two"}))
    return str(path)
