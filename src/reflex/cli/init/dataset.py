"""An embodiment from the statistics of a LeRobot dataset: `meta/stats.json`, and `meta/info.json` beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reflex.cli.init.draft import Axis, Draft
from reflex.errors import SetupError
from reflex.wording.nouns import counted

__all__ = ["draft_from_stats"]

ACTION: Final = "action"
STATE: Final = "observation.state"
NARROW: Final = 1e-3
"""What an axis that never moves in the data may move, relative to its value: it stays where it was."""


def draft_from_stats(file: Path, name: str, unit: str, control_hz: float | None) -> Draft:
    """Ranges as the data used them, the rate of its `fps`; raises `SetupError` for what holds no such statistics."""
    stats, info = _object(file), _info_beside(file)
    low, high = _row(stats, ACTION, "min", file), _row(stats, ACTION, "max", file)
    if len(low) != len(high):
        raise SetupError(
            f"{file}: action has {counted(len(low), 'value')} in min and {len(high)} in max; it is damaged"
        )
    rate = control_hz or _rate_of(info)
    names = _names(info, ACTION, len(low))
    axes = [_axis(*each, unit=unit, rate=rate) for each in zip(names, low, high, strict=True)]
    mean = _row(stats, STATE, "mean", file)
    return Draft(
        name=name,
        description=f"{name}: from the statistics of a dataset.",
        control_hz=rate,
        axes=axes,
        state=[
            (axis, unit, _within(axes, axis, value))
            for axis, value in zip(_names(info, STATE, len(mean)), mean, strict=True)
        ],
        sources=(
            ("action_low, action_high, mean_state: what the recorded data used", file.name),
            ("action_max_step: a guess, the whole range in one second", "put the joint's top speed / control_hz"),
            ("control_hz", "fps of the dataset" if control_hz is None else "given"),
        ),
    )


def _axis(name: str, low: float, high: float, *, unit: str, rate: float) -> Axis:
    if not low < high:
        reach = max(abs(low), 1.0) * NARROW
        low, high = low - reach, low + reach
    return Axis(name, unit, low, high, (high - low) / rate)


def _within(axes: list[Axis], name: str, value: float) -> float:
    """A state's mean beside the range of the action of its name cannot be: what is recorded lags what is commanded."""
    for axis in axes:
        if axis.name == name:
            return min(max(value, axis.low), axis.high)
    return value


def _object(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except OSError as exc:
        raise SetupError(f"{file} cannot be read ({exc.strerror}); give the meta/stats.json of a dataset") from exc
    except (ValueError, RecursionError) as exc:
        raise SetupError(f"{file} is not JSON; give the meta/stats.json of a LeRobot dataset") from exc
    if not isinstance(found, Mapping):
        raise SetupError(f"{file} holds no JSON object; give the meta/stats.json of a LeRobot dataset")
    return found


def _info_beside(file: Path) -> Mapping[str, Any]:
    beside = file.with_name("info.json")
    return _object(beside) if beside.is_file() else {}


def _row(stats: Mapping[str, Any], feature: str, statistic: str, file: Path) -> list[float]:
    found = stats.get(feature)
    values = found.get(statistic) if isinstance(found, Mapping) else None
    if not isinstance(values, list) or not values or not all(map(_is_finite, values)):
        raise SetupError(
            f"{file} has no finite {statistic} of {feature}; give the meta/stats.json of a LeRobot dataset"
        )
    return [float(value) for value in values]


def _is_finite(value: object) -> bool:
    """A bool is an int to isinstance, and no statistic."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _rate_of(info: Mapping[str, Any]) -> float:
    fps = info.get("fps")
    if fps is None or not _is_finite(fps):
        raise SetupError("the dataset does not say its rate (fps in meta/info.json); give --control-hz")
    return float(fps)


def _names(info: Mapping[str, Any], feature: str, count: int) -> list[str]:
    """Those of info.json, flat or in one group; numbers where there are none, or not as many as values."""
    features = info.get("features")
    described = features.get(feature) if isinstance(features, Mapping) else None
    names = described.get("names") if isinstance(described, Mapping) else None
    if isinstance(names, Mapping) and len(names) == 1:
        names = next(iter(names.values()))
    if not isinstance(names, list) or len(names) != count:
        return [f"{feature.rpartition('.')[2]}_{index}" for index in range(count)]
    return [str(each).removesuffix(".pos") for each in names]
