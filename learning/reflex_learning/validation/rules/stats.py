"""Rules of `meta/stats.json` as it is; what it should say of the data is in `whole`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.datasets.stats import QUANTILES
from reflex_learning.reading.info import Feature
from reflex_learning.validation.rule import Finding, Rule
from reflex_learning.validation.survey import Survey

__all__ = ["RULES", "statistic"]

BASIC: Final = ("min", "max", "mean", "std")
FILE: Final = "meta/stats.json"
VECTORS: Final = ("action", "observation.state")
MADE_ANEW: Final = "compute them anew: reflex datasets stats"
Array = npt.NDArray[np.float64]


def statistic(stats: Mapping[str, Any] | None, feature: str, name: str) -> Array | None:
    """As numbers; None where there are none."""
    of = (stats or {}).get(feature)
    told = of.get(name) if isinstance(of, Mapping) else None
    try:
        return None if told is None else np.asarray(told, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def _open(survey: Survey) -> Iterator[Finding]:
    yield from survey.problems.get("stats-open", ())


def _counted(survey: Survey) -> list[Feature]:
    """Features that must have statistics."""
    is_there = survey.stats is not None
    return [each for each in survey.info.features.values() if is_there and (each.is_numeric or each.is_picture)]


def _cover_features(survey: Survey) -> Iterator[Finding]:
    for feature in _counted(survey):
        missing = [name for name in BASIC if statistic(survey.stats, feature.name, name) is None]
        if missing:
            yield Finding(f"{feature.name} has no {', '.join(missing)}", FILE)


def _have_shapes(survey: Survey) -> Iterator[Finding]:
    for feature in _counted(survey):
        allowed = [(3, 1, 1), (1, 1, 1)] if feature.is_picture else [feature.shape]
        for name in (*BASIC, *QUANTILES):
            found = statistic(survey.stats, feature.name, name)
            if found is not None and found.shape not in allowed:
                yield Finding(
                    f"{name} of {feature.name} has the shape {list(found.shape)}, not {list(allowed[0])}", FILE
                )
                break


def _are_finite(survey: Survey) -> Iterator[Finding]:
    for feature in _counted(survey):
        for name in (*BASIC, *QUANTILES):
            found = statistic(survey.stats, feature.name, name)
            if found is not None and not np.isfinite(found).all():
                yield Finding(f"{name} of {feature.name} is not finite", FILE)


def _of_pictures_are_in_0_to_1(survey: Survey) -> Iterator[Finding]:
    for feature in survey.info.cameras:
        high = statistic(survey.stats, feature.name, "max")
        low = statistic(survey.stats, feature.name, "min")
        if high is not None and low is not None and (high.max() > 1.0 or low.min() < 0.0):
            yield Finding(f"{feature.name} reaches from {low.min():g} to {high.max():g}, not within 0 to 1", FILE)


def _have_quantiles(survey: Survey) -> Iterator[Finding]:
    for name in VECTORS:
        if survey.stats is not None and name in survey.info.features:
            missing = [each for each in ("q01", "q99") if statistic(survey.stats, name, each) is None]
            if missing:
                yield Finding(f"{name} has no {' and '.join(missing)}, which pi0.5 needs", FILE)


def _are_in_order(survey: Survey) -> Iterator[Finding]:
    for feature in _counted(survey):
        found = [statistic(survey.stats, feature.name, name) for name in ("min", *QUANTILES, "max")]
        values = [each for each in found if each is not None]
        if len({each.shape for each in values}) != 1:
            continue
        if (np.diff(np.stack(values), axis=0) < -1e-6 * (1 + np.abs(values[-1]))).any():
            yield Finding(f"{feature.name}: min, the quantiles and max do not ascend", FILE)


RULES: Final = (
    Rule("stats-open", "error", "meta/stats.json can be read", MADE_ANEW, _open),
    Rule(
        "stats-features",
        "error",
        "every feature has min, max, mean and std, cameras as well",
        MADE_ANEW,
        _cover_features,
    ),
    Rule(
        "stats-shapes",
        "error",
        "statistics are as wide as their feature, of pictures [3, 1, 1]",
        MADE_ANEW,
        _have_shapes,
    ),
    Rule("stats-finite", "error", "no statistic is a NaN or an infinity", MADE_ANEW, _are_finite),
    Rule(
        "stats-pictures",
        "error",
        "statistics of pictures are of values in 0 to 1",
        MADE_ANEW,
        _of_pictures_are_in_0_to_1,
    ),
    Rule("stats-quantiles", "warning", "state and action have the quantiles q01 and q99", MADE_ANEW, _have_quantiles),
    Rule("stats-order", "error", "min, quantiles and max ascend", MADE_ANEW, _are_in_order),
)
