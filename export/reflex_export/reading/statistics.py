"""Normalisation statistics: from a processor's state file, or from inside an old checkpoint's weights.

Both name them by feature and statistic: `observation.state.mean` in a state file, `normalize_inputs.
buffer_observation_state.mean` in the weights of lerobot before 0.4. Those of other robots keep the name that the file
gives them (SmolVLA's base model has `so100.buffer.action` and the like), so that an error can say what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import TensorSource
from reflex_export.errors import StatisticsError

__all__ = [
    "KEPT",
    "FeatureStatistics",
    "Statistics",
    "Values",
    "by_feature",
    "require_statistics_in_weights",
    "statistics_in_weights",
    "statistics_of",
]

Values = Mapping[str, npt.NDArray[np.float32]]
"""By statistic."""

KEPT: Final = frozenset({"mean", "std", "min", "max", "q01", "q99", "q10", "q90"})
_IN_WEIGHTS: Final = ("normalize_inputs.", "normalize_targets.", "unnormalize_outputs.")
_BUFFER: Final = "buffer_"


@dataclass(frozen=True)
class FeatureStatistics:
    """Of one feature."""

    values: Values
    origin: str
    """The file they are from, for people."""
    replaces: str = ""
    """The file whose other numbers they take the place of."""


Statistics = Mapping[str, FeatureStatistics]
"""By feature."""


def statistics_of(tensors: TensorSource, origin: str) -> Statistics:
    """A state file's: `<feature>.<statistic>`."""
    with _too_large_is_infinite():
        return by_feature(((*_split(name), _loaded(tensors, name)) for name in sorted(tensors.names())), origin)


def require_statistics_in_weights(tensors: TensorSource) -> None:
    """`StatisticsError` for an old checkpoint that has none at all."""
    if not _buffers(tensors):
        raise StatisticsError(
            "the checkpoint has neither policy_preprocessor.json nor statistics inside its weights, so it is unknown "
            "how its observations are normalised: fetch the processor files, migrate it with lerobot's "
            "migrate_policy_normalization, or bring the statistics with --stats"
        )


def statistics_in_weights(tensors: TensorSource, features: tuple[str, ...], origin: str) -> Statistics:
    """An old checkpoint's own; inputs and outputs are looked up under the names that lerobot made of `features`."""
    feature_of = {_BUFFER + feature.replace(".", "_"): feature for feature in features}
    found = []
    with _too_large_is_infinite():
        for name in _buffers(tensors):
            key, statistic = _split(name)
            found.append((feature_of.get(key.partition(".")[2], key), statistic, _loaded(tensors, name)))
    return by_feature(iter(found), origin)


def by_feature(found: Iterator[tuple[str, str, npt.NDArray[np.float32]]], origin: str) -> Statistics:
    """Sorted by feature; what is none of the known statistics (a count, say) is left out."""
    values: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    for feature, statistic, array in found:
        if statistic in KEPT:
            values.setdefault(feature, {})[statistic] = array
    return {feature: FeatureStatistics(values[feature], origin) for feature in sorted(values)}


def _buffers(tensors: TensorSource) -> list[str]:
    return [name for name in sorted(tensors.names()) if name.startswith(_IN_WEIGHTS)]


def _split(name: str) -> tuple[str, str]:
    feature, _, statistic = name.rpartition(".")
    return feature, statistic


def _loaded(tensors: TensorSource, name: str) -> npt.NDArray[np.float32]:
    return np.array(tensors.load(name), np.float32)


def _too_large_is_infinite() -> AbstractContextManager[None]:
    """What is not finite is told by name where it is used."""
    return np.errstate(over="ignore")
