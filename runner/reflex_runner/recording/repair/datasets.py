"""A LeRobot dataset: what has no row is taken away, and what sums the rows up is made anew."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from reflex_runner.recording.lerobot.dataset import load_dataset, stray_files
from reflex_runner.recording.repair.steps import Step, removal

__all__ = ["dataset_steps", "episodes_in"]


def dataset_steps(root: Path) -> Iterator[Step]:
    """Of a folder `lerobot`."""
    dataset = load_dataset(root)
    if dataset is None or not dataset.rows:
        yield removal(root, "no episode of it was whole")
        return
    for file in stray_files(dataset):
        yield removal(file, "its episode was not whole")
    if not dataset.is_summed_up:
        detail = f"{len(dataset.rows)} episodes with {dataset.frames} frames"
        yield Step(root / "meta", "summed up", detail, partial(dataset.sum_up, exact=True))


def episodes_in(root: Path) -> set[int]:
    """Their numbers in the recording."""
    dataset = load_dataset(root)
    return set() if dataset is None else {row.recorded_as for row in dataset.rows}
