"""Normalisation statistics: from a processor's state file, or from inside an old checkpoint's weights.

Both name them by feature and statistic: `observation.state.mean` in a state file, `normalize_inputs.
buffer_observation_state.mean` in the weights of lerobot before 0.4. A feature that the statistics do not name is not
normalised (SmolVLA's base model names only `so100.buffer.action` and the like, so it normalises nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import NormalizationMode, Normalizer, TensorSource
from reflex_export.errors import StatisticsError, UnsupportedOptionError

__all__ = ["Statistics", "build_normalizer", "mode_of", "statistics_in_weights", "statistics_of"]

Statistics = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]
"""By feature, then by statistic."""

NEEDED: Final[Mapping[NormalizationMode, tuple[str, ...]]] = {
    "IDENTITY": (),
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
_KEPT: Final = frozenset({"mean", "std", "min", "max", "q01", "q99", "q10", "q90"})
_IN_WEIGHTS: Final = ("normalize_inputs.", "normalize_targets.", "unnormalize_outputs.")
_BUFFER: Final = "buffer_"


def statistics_of(tensors: TensorSource) -> Statistics:
    """A state file's: `<feature>.<statistic>`."""
    found: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    for name in sorted(tensors.names()):
        feature, _, statistic = name.rpartition(".")
        if statistic in _KEPT:
            found.setdefault(feature, {})[statistic] = np.array(tensors.load(name), np.float32)
    return found


def statistics_in_weights(tensors: TensorSource, features: tuple[str, ...]) -> Statistics:
    """An old checkpoint's own; inputs and outputs are looked up under the names that lerobot made of `features`."""
    names = [name for name in sorted(tensors.names()) if name.startswith(_IN_WEIGHTS)]
    if not names:
        raise StatisticsError(
            "the checkpoint has neither policy_preprocessor.json nor statistics inside its weights, so it is unknown "
            "how its observations are normalised: fetch the processor files, or migrate it with lerobot's "
            "migrate_policy_normalization"
        )
    feature_of = {_BUFFER + feature.replace(".", "_"): feature for feature in features}
    found: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    for name in names:
        buffer, _, statistic = name.partition(".")[2].rpartition(".")
        if buffer in feature_of and statistic in _KEPT:
            found.setdefault(feature_of[buffer], {})[statistic] = np.array(tensors.load(name), np.float32)
    return found


def mode_of(value: object, feature: str) -> NormalizationMode:
    """A mode by its name; absent is IDENTITY."""
    if value is None:
        return "IDENTITY"
    if not isinstance(value, str) or value not in NEEDED:
        raise UnsupportedOptionError(f"{feature} is normalised by {value!r:.60}; supported are {', '.join(NEEDED)}")
    return cast("NormalizationMode", value)


def build_normalizer(
    mode: NormalizationMode, statistics: Statistics, feature: str, shape: tuple[int, ...], eps: float
) -> Normalizer:
    """How `feature` of that shape ([n], or [3, 1, 1] for images) is normalised; every statistic is checked first."""
    found = statistics.get(feature)
    if mode == "IDENTITY" or not found:
        return Normalizer(mode, eps=eps)
    missing = [name for name in NEEDED[mode] if name not in found]
    if missing:
        raise StatisticsError(
            f"{feature} is normalised by {mode}, but its statistics lack {' and '.join(missing)} "
            f"(they have {', '.join(found)}); compute them over the training data and save the policy again"
        )
    return Normalizer(mode, {name: _checked(found[name], f"{feature}.{name}", shape) for name in sorted(found)}, eps)


def _checked(values: npt.NDArray[np.float32], name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if len(shape) == 3 and values.ndim == 1:
        values = values.reshape(-1, 1, 1)
    if values.shape != shape:
        raise StatisticsError(
            f"{name} has the shape {values.shape}, but the policy's config wants {shape}: these are the statistics of "
            "another robot or data set; use the file that was saved with this policy"
        )
    if not np.isfinite(values).all():
        raise StatisticsError(f"{name} is not finite, so it was never computed; save the policy again with statistics")
    values.setflags(write=False)
    return values
