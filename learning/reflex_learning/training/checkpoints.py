"""The checkpoints of a run as LeRobot writes them, and from which one it may go on.

LeRobot writes a checkpoint file by file, then removes the link `last` and makes it anew. One is trusted when `last`
points to it or to a later one; without a link, when there are several, for then only the link was being replaced.
A power cut may leave files that are too short all the same: tensors and JSON are looked at.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "Checkpoint",
    "clear_for_resume",
    "keep_model_of",
    "last_checkpoint",
    "last_models",
    "linked_checkpoint",
    "prune",
]

LAST: Final = "last"
NUMBERED: Final = re.compile(r"\d{6,}", re.ASCII)
ALWAYS: Final = (
    "pretrained_model/config.json",
    "pretrained_model/train_config.json",
    "training_state/training_step.json",
    "training_state/rng_state.safetensors",
    "training_state/optimizer_state.safetensors",
    "training_state/optimizer_param_groups.json",
)
WEIGHTS: Final = ("pretrained_model/model.safetensors", "pretrained_model/adapter_model.safetensors")
LARGEST_HEADER: Final = 100 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that is whole."""

    folder: Path
    step: int

    @property
    def model(self) -> Path:
        return self.folder / "pretrained_model"


def last_checkpoint(output: Path) -> Checkpoint | None:
    """The newest from which a run can go on."""
    for folder in reversed(_trusted(output / "checkpoints")):
        if (step := _step_of(folder)) is not None:
            return Checkpoint(folder, step)
    return None


def linked_checkpoint(output: Path) -> Checkpoint | None:
    """The one that `last` points to, where its weights are whole; it may have no training state any more."""
    folder = output / "checkpoints" / LAST
    if not folder.is_symlink() or not NUMBERED.fullmatch(folder.readlink().name):
        return None
    linked = folder.parent / folder.readlink().name
    is_whole = any((linked / name).is_file() and _is_whole(linked / name) for name in WEIGHTS)
    return Checkpoint(linked, int(linked.name)) if is_whole else None


def keep_model_of(kept: Checkpoint) -> None:
    """Remove the others, and the state from which its training would go on."""
    checkpoints = kept.folder.parent
    _link(checkpoints / LAST, kept.folder.name)
    for folder in _numbered(checkpoints):
        if folder != kept.folder:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(kept.folder / "training_state", ignore_errors=True)


def clear_for_resume(output: Path) -> Checkpoint | None:
    """Make `output` such that the trainer goes on at the newest whole checkpoint, or begins where there is none."""
    newest = last_checkpoint(output)
    if newest is None:
        shutil.rmtree(output, ignore_errors=True)
        return None
    checkpoints = output / "checkpoints"
    for folder in _numbered(checkpoints):
        if int(folder.name) > newest.step:
            shutil.rmtree(folder, ignore_errors=True)
    _link(checkpoints / LAST, newest.folder.name)
    return newest


def last_models(output: Path, count: int) -> list[Path]:
    """The models of the newest checkpoints, the newest last; fewer where there are not so many."""
    return [folder / "pretrained_model" for folder in _trusted(output / "checkpoints") if _step_of(folder)][-count:]


def prune(output: Path, keeps: int) -> None:
    """Remove all but so many checkpoints, the newest: large models fill a disk with them."""
    checkpoints = output / "checkpoints"
    if not (checkpoints / LAST).is_symlink():
        return
    for folder in _trusted(checkpoints)[:-keeps]:
        shutil.rmtree(folder, ignore_errors=True)


def _trusted(checkpoints: Path) -> list[Path]:
    found = _numbered(checkpoints)
    link = checkpoints / LAST
    if link.is_symlink():
        target = link.readlink().name
        return [folder for folder in found if NUMBERED.fullmatch(target) and int(folder.name) <= int(target)]
    return found if len(found) > 1 else []


def _numbered(checkpoints: Path) -> list[Path]:
    if not checkpoints.is_dir():
        return []
    folders = [path for path in checkpoints.iterdir() if NUMBERED.fullmatch(path.name) and path.is_dir()]
    return sorted(folders, key=lambda folder: int(folder.name))


def _step_of(folder: Path) -> int | None:
    """None for a checkpoint of which something is missing."""
    weights = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    files = [*(folder / name for name in ALWAYS), *weights, *(folder / "pretrained_model").glob("*.safetensors")]
    if not weights or not all(_is_whole(file) for file in files):
        return None
    step = json.loads((folder / "training_state" / "training_step.json").read_bytes()).get("step")
    return step if isinstance(step, int) else None


def _is_whole(file: Path) -> bool:
    try:
        if file.suffix == ".safetensors":
            return _has_all_tensors(file)
        return isinstance(json.loads(file.read_bytes()), dict | list)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _has_all_tensors(file: Path) -> bool:
    """Its first eight bytes say how long its header is, the header where the last tensor ends."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length)) if length <= LARGEST_HEADER else {}
    ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
    return file.stat().st_size == 8 + length + max(ends, default=0)


def _link(link: Path, target: str) -> None:
    made = link.with_name(".last.partial")
    made.unlink(missing_ok=True)
    made.symlink_to(target)
    made.replace(link)
