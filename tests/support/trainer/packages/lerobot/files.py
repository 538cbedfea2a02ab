"""Checkpoints as LeRobot writes them: file by file, and at the end the link `last`, removed and made anew."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

__all__ = ["load", "save"]


def save(config: dict[str, Any], step: int, weight: int, how: dict[str, Any]) -> None:
    """With a pause after each file, in which somebody may end the process."""
    checkpoints = Path(config["output_dir"]) / "checkpoints"
    folder = checkpoints / f"{step:0{max(6, len(str(config['steps'])))}d}"
    model, state = folder / "pretrained_model", folder / "training_state"
    model.mkdir(parents=True, exist_ok=True)
    if "golden" in how and config["job_name"].startswith(how.get("golden_for", "")):
        for file in Path(how["golden"]).glob("[!c]*"):
            shutil.copy(file, model)
        shutil.copy(Path(how["golden"]) / "config.json", model)
    else:
        _write(model / "config.json", {"type": config["policy.type"]})
        tensors(model / "model.safetensors", weight, "F32", 2)
    pause = how.get("step_s", 0.0) / 4
    _write(model / "train_config.json", config)
    time.sleep(pause)
    state.mkdir(exist_ok=True)
    _write(state / "training_step.json", {"step": step, "num_processes": 1, "batch_size": config["batch_size"]})
    tensors(state / "rng_state.safetensors", config["seed"])
    time.sleep(pause)
    tensors(state / "optimizer_state.safetensors", weight)
    _write(state / "optimizer_param_groups.json", [{"lr": 1e-5}])
    link = checkpoints / "last"
    if link.is_symlink():
        link.unlink()
    time.sleep(pause)
    link.symlink_to(folder.name)


def load(config_path: str) -> tuple[int, int]:
    """Step and weight of the checkpoint that a run goes on with."""
    folder = Path(config_path).resolve().parent.parent
    step = json.loads((folder / "training_state" / "training_step.json").read_text())["step"]
    with (folder / "training_state" / "optimizer_state.safetensors").open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return step, int.from_bytes(file.read(8), "little")


def tensors(path: Path, value: int, kind: str = "I64", numbers: int = 1) -> None:
    """One tensor of eight bytes, which are those of the number."""
    header = json.dumps({"weight": {"dtype": kind, "shape": [numbers], "data_offsets": [0, 8]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.flush()
        file.write(value.to_bytes(8, "little"))


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
