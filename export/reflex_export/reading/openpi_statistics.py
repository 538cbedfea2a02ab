"""assets/<id>/norm_stats.json of openpi: what normalises a policy whose other settings lerobot's config.json has.

openpi adds 1e-6 to a spread in both directions, lerobot only before it divides. So the spread is read with that added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import Family, NormalizationMode
from reflex_export.errors import CheckpointError, StatisticsError, UnsupportedOptionError
from reflex_export.reading.features import ACTION, STATE
from reflex_export.reading.files import read_object, typed
from reflex_export.reading.normalization import Normalization
from reflex_export.reading.openpi import statistics_files
from reflex_export.reading.processors import Processors, Tokenization
from reflex_export.reading.statistics import Statistics, statistics_of

__all__ = ["openpi_statistics_file", "read_openpi_processors"]

_ADDED: Final = 1e-6
_MODES: Final[Mapping[Family, NormalizationMode]] = {"pi0": "MEAN_STD", "pi05": "QUANTILES"}
_EPS: Final[Mapping[NormalizationMode, float]] = {"MEAN_STD": 1e-12, "QUANTILES": _ADDED}
"""What lerobot adds to a deviation, next to nothing here; what a range of zero counts as."""
_SPREAD: Final = ("std", "q99")
_FEATURES: Final = (("state", STATE, "input_features"), ("actions", ACTION, "output_features"))


@dataclass(frozen=True)
class _JsonTensors:
    """Lists of numbers as a `TensorSource`."""

    arrays: Mapping[str, npt.NDArray[np.float32]]

    def names(self) -> frozenset[str]:
        return frozenset(self.arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.arrays[name].shape

    def load(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]


def openpi_statistics_file(folder: Path, family: Family) -> Path | None:
    """The only one; `CheckpointError` when it is unknown which of several the policy was trained with."""
    found = statistics_files(folder) if family in _MODES else []
    if len(found) > 1:
        names = " and ".join(str(path.parent.relative_to(folder)) for path in found)
        raise CheckpointError(f"{folder} has the statistics of {names}; keep those that the policy was trained with")
    return found[0] if found else None


def read_openpi_processors(path: Path, family: Family, config: Mapping[str, Any], tokenizer: str) -> Processors:
    """The steps that openpi takes for every robot; others of its training config must be in lerobot's files."""
    mode = _MODES[family]
    if config.get("use_relative_actions"):
        raise CheckpointError(
            f"use_relative_actions needs policy_preprocessor.json, which is missing beside {path.name}; write it"
        )
    modes = typed(config, "normalization_mapping", dict, "config.json", default={"STATE": mode, "ACTION": mode})
    for kind in ("STATE", "ACTION"):
        if modes.get(kind) != mode:
            raise UnsupportedOptionError(
                f"config.json: normalization_mapping has {modes.get(kind)!r:.60} for {kind}, but openpi normalises "
                f"{family} by {mode}; set that"
            )
    normalization = Normalization(modes, _statistics(path, config), _EPS[mode])
    tokenization = Tokenization(tokenizer, typed(config, "tokenizer_max_length", int, "config.json"))
    return Processors(normalization, normalization, tokenization, files=frozenset({path}))


def _statistics(path: Path, config: Mapping[str, Any]) -> Statistics:
    found = typed(read_object(path), "norm_stats", dict, str(path))
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for key, feature, group in _FEATURES:
        values = typed(found, key, dict, f"{path}: norm_stats")
        length = _length(config, group, feature)
        for statistic, numbers in values.items():
            if numbers is not None:
                arrays[f"{feature}.{statistic}"] = _array(numbers, statistic, f"{path}: {key}.{statistic:.60}")[:length]
    return statistics_of(_JsonTensors(arrays), str(path))


def _length(config: Mapping[str, Any], group: str, feature: str) -> int | None:
    """openpi cuts statistics that are longer than the robot's vector."""
    described = typed(config, group, dict, "config.json", default={}).get(feature)
    shape = described.get("shape") if isinstance(described, dict) else None
    return shape[0] if isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int else None


def _array(numbers: object, statistic: str, what: str) -> npt.NDArray[np.float32]:
    if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
        raise StatisticsError(f"{what} must be a list of numbers; compute the statistics again with openpi")
    added = _ADDED if statistic in _SPREAD else 0.0
    return (np.array([float(number) for number in numbers]) + added).astype(np.float32)
