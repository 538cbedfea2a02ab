"""The same checkpoint for a robot with fewer cameras."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

__all__ = ["with_cameras"]

WEIGHTS = "model.safetensors"


def with_cameras(checkpoint: Path, folder: Path, count: int) -> Path:
    """Written into `folder`, with its first cameras; the weights are the same file where the disk is the same."""
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns(WEIGHTS), copy_function=shutil.copyfile)
    try:
        os.link(checkpoint / WEIGHTS, folder / WEIGHTS)
    except OSError:
        shutil.copyfile(checkpoint / WEIGHTS, folder / WEIGHTS)
    config = json.loads((folder / "config.json").read_text())
    cameras = [name for name, feature in config["input_features"].items() if feature["type"] == "VISUAL"]
    for name in cameras[count:]:
        del config["input_features"][name]
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    return folder
