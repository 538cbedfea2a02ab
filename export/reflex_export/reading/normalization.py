"""How each input and output of a policy is normalised: one function says so, or refuses to.

A mode other than IDENTITY without statistics of its feature is inert: lerobot passes the values through, so z-scores
would go to the motors as units. Here that is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import NEEDED, NormalizationMode, Normalizer
from reflex_export.errors import StatisticsError, UnsupportedOptionError
from reflex_export.reading.statistics import FeatureStatistics, Statistics, Values

__all__ = ["Feature", "Normalization", "agree", "mode_of", "resolve_normalizer", "with_given"]

_SHOWN: Final = 8
"""As many names of statistics an error lists."""
_KINDS: Final = frozenset({"STATE", "VISUAL", "ENV", "ACTION", "REWARD", "LANGUAGE"})
"""Those of lerobot."""
_ORDERED: Final = (("min", "max"), ("q01", "q99"), ("q10", "q90"))


@dataclass(frozen=True)
class Normalization:
    """Of all features: modes by feature type, statistics by feature."""

    modes: Mapping[str, Any]
    statistics: Statistics = field(default_factory=dict)
    eps: float = 1e-8
    features: Mapping[str, Any] | None = None
    """Those that the step knows of, with type and shape; None means all. lerobot leaves any other as it is."""
    observations: frozenset[str] | None = None
    """Those of the observations that shall be normalised, by the checkpoint's own word; None means all."""

    def __post_init__(self) -> None:
        unknown = sorted(self.modes.keys() - _KINDS)
        if unknown:
            raise UnsupportedOptionError(
                f"norm_map has {unknown[0]!r:.60}, which is no kind of feature, so nothing would be normalised by it; "
                f"write {', '.join(sorted(_KINDS))}"
            )


@dataclass(frozen=True)
class Feature:
    """One input or output."""

    name: str
    kind: Literal["STATE", "ACTION", "VISUAL"]
    shape: tuple[int, ...]
    """[n], or [3, 1, 1] for images."""


def mode_of(value: object, feature: str) -> NormalizationMode:
    """A mode by its name; absent is IDENTITY."""
    if value is None:
        return "IDENTITY"
    if not isinstance(value, str) or value not in NEEDED:
        raise UnsupportedOptionError(f"{feature} is normalised by {value!r:.60}; supported are {', '.join(NEEDED)}")
    return cast("NormalizationMode", value)


def resolve_normalizer(normalization: Normalization, feature: Feature) -> Normalizer:
    """Mode and statistics of one feature; `StatisticsError` when it is to be normalised and cannot be."""
    mode = mode_of(normalization.modes.get(feature.kind), feature.name)
    if mode == "IDENTITY" or _is_left_out(feature, normalization.observations):
        return Normalizer("IDENTITY", eps=normalization.eps)
    if normalization.features is not None and feature.name not in normalization.features:
        raise _unknown_to_step(mode, feature)
    found = normalization.statistics.get(feature.name)
    if found is None:
        raise _no_statistics(mode, feature, normalization.statistics)
    missing = [name for name in NEEDED[mode] if name not in found.values]
    if missing:
        raise _incomplete(mode, feature, found, missing)
    values = {name: _checked(found.values[name], f"{feature.name}.{name}", feature.shape) for name in found.values}
    _refuse_never_computed(mode, feature, values)
    return Normalizer(mode, values, normalization.eps, found.origin, found.replaces)


def with_given(normalization: Normalization, given: Statistics) -> Normalization:
    """Statistics from outside go before the checkpoint's own of the same feature."""
    own = normalization.statistics
    placed = {name: _in_place_of(found, own.get(name)) for name, found in given.items()}
    return replace(normalization, statistics={**own, **placed})


def _in_place_of(given: FeatureStatistics, own: FeatureStatistics | None) -> FeatureStatistics:
    if own is None:
        return given
    return given if agree(given, own) else replace(given, replaces=own.origin)


def agree(one: FeatureStatistics, other: FeatureStatistics) -> bool:
    """Whether what both have is the same but for rounding."""
    shared = one.values.keys() & other.values.keys()
    return all(_is_close(one.values[name], other.values[name]) for name in shared)


def _is_close(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-6)


def _is_left_out(feature: Feature, observations: frozenset[str] | None) -> bool:
    return observations is not None and feature.kind != "ACTION" and feature.name not in observations


def _unknown_to_step(mode: NormalizationMode, feature: Feature) -> StatisticsError:
    return StatisticsError(
        f"{feature.name} is normalised by {mode}, but the normalizer step does not list it among its features, so its "
        f"values would be passed on unscaled; add it there, or write IDENTITY for {feature.kind} in norm_map"
    )


def _no_statistics(mode: NormalizationMode, feature: Feature, statistics: Statistics) -> StatisticsError:
    names = sorted(statistics)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    there = f"there are only those of {', '.join(names[:_SHOWN])}{more}" if names else "there are none at all"
    return StatisticsError(
        f"{feature.name} is normalised by {mode}, but the checkpoint has no statistics of it ({there}), so its values "
        "would be passed on unscaled. Fine-tune it on your data, or bring the statistics of the data that it was "
        f"trained on with --stats; where it is meant so, write IDENTITY for {feature.kind} in norm_map"
    )


def _incomplete(
    mode: NormalizationMode, feature: Feature, found: FeatureStatistics, missing: list[str]
) -> StatisticsError:
    return StatisticsError(
        f"{feature.name} is normalised by {mode}, but its statistics lack {' and '.join(missing)} "
        f"({found.origin} has {', '.join(sorted(found.values))}); compute them over the training data, "
        "and save the policy again or bring them with --stats"
    )


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


def _refuse_never_computed(mode: NormalizationMode, feature: Feature, values: Values) -> None:
    """A joint that never moved has no spread; a feature of zeros has no statistics."""
    name = feature.name
    if (values.get("std", np.zeros(1, np.float32)) < 0).any():
        raise StatisticsError(f"{name}.std is negative, which no spread is; compute the statistics again")
    for low, high in _ORDERED:
        if low in values and high in values and (values[low] > values[high]).any():
            raise StatisticsError(f"{name}.{low} is above {name}.{high}; compute the statistics again")
    if not any(values[statistic].any() for statistic in NEEDED[mode]):
        raise StatisticsError(
            f"{' and '.join(NEEDED[mode])} of {name} are all zero, so they were never computed; "
            "save the policy again with statistics, or bring them with --stats"
        )
