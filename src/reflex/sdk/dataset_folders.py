"""Datasets in folders of this machine: converted, repaired, and their statistics; no control plane is asked."""

from __future__ import annotations

import importlib
from os import PathLike
from pathlib import Path
from typing import Any

from reflex.errors import SetupError
from reflex.wording.install import install_line

__all__ = ["convert_dataset", "dataset_stats", "repair_dataset"]


def convert_dataset(dataset: str | PathLike[str], out: str | PathLike[str]) -> None:
    """Write a LeRobot dataset of version 2.0 or 2.1 as one of version 3.0 at `out`, which must not be there yet."""
    _of_learning("conversion").convert(Path(dataset), Path(out))


def repair_dataset(dataset: str | PathLike[str], out: str | PathLike[str], *, dry_run: bool = False) -> dict[str, Any]:
    """Write a dataset anew at `out`, without what is broken in it; what it dropped, and which rules hold now.

    `out` in the answer is None where nothing was written: in a dry run, and where the dataset breaks no rule. Raises
    `ReflexError` for a dataset that cannot be repaired without inventing something.
    """
    repairing = _of_learning("repair.repairing")
    found = repairing.repair_dataset(Path(dataset), Path(out), dry_run=dry_run)
    told: dict[str, Any] = repairing.told(found, Path(dataset), Path(out))
    return told


def dataset_stats(dataset: str | PathLike[str]) -> dict[str, Any]:
    """Min, max, mean, standard deviation and quantiles of every feature, in its own units, from the data."""
    statistics = _of_learning("statistics")
    told: dict[str, Any] = statistics.told(statistics.compute_stats(Path(dataset)))
    return told


def _of_learning(module: str) -> Any:  # noqa: ANN401  # a module, known only at run time
    try:
        return importlib.import_module(f"reflex_learning.{module}")
    except ModuleNotFoundError as exc:
        raise SetupError(f"this needs the package {exc.name}; run: {install_line('datasets')}") from exc
