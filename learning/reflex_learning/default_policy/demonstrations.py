"""Demonstrations by the simulator's script, in the real loop of `reflex connect`, held to the rules of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reflex_learning.default_policy.commands import Reflex
from reflex_learning.default_policy.recipe import Recipe, demonstrations_yaml
from reflex_learning.errors import TrainingError

__all__ = ["demonstrate", "succeeded", "validate"]


def demonstrate(recipe: Recipe, folder: Path, reflex: Reflex) -> dict[str, Any]:
    """Record them; the dataset's folder, and which of its episodes succeeded."""
    config = folder / "demonstrations.yaml"
    config.write_text(demonstrations_yaml(recipe), encoding="utf-8")
    told = reflex("connect", "--config", str(config), "--episodes", str(recipe.episodes))
    if len(told["recordings"]) != 1:
        raise TrainingError(f"the demonstrations are in {len(told['recordings'])} recordings; run this again")
    recording = Path(told["recordings"][0])
    return {
        "dataset": str(recording / "lerobot"), "episodes": told["played"], "succeeded": succeeded(recording),
    }  # fmt: skip


def succeeded(recording: Path) -> list[int]:
    """The numbers of the episodes with success, as the dataset counts them."""
    lines = (recording / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    found = [told["episode"] for told in map(json.loads, lines) if told["success"]]
    if not found:
        raise TrainingError(f"no demonstration in {recording} succeeded: `reflex connect --view` shows why")
    return found


def validate(dataset: Path, reflex: Reflex) -> dict[str, Any]:
    """Ends with an error when the dataset is not fit for training."""
    told = reflex("datasets", "validate", str(dataset))
    return {"valid": told["valid"], "warnings": told["warnings"], "frames": told["frames"]}
