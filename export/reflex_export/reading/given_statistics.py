"""Statistics from outside a checkpoint: a LeRobot dataset's folder, its stats.json, or a safetensors file.

<dataset>/meta/stats.json             of the whole dataset
<dataset>/meta/episodes_stats.jsonl   one line an episode (dataset versions 2.1), aggregated here
*.json, *.jsonl, *.safetensors        one such file by itself; in safetensors `<feature>.<statistic>`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_export.errors import SourceError, StatisticsError
from reflex_export.reading.files import MAX_JSON_BYTES, read_text, unique_names
from reflex_export.reading.statistics import KEPT, FeatureStatistics, Statistics, Values, by_feature, statistics_of
from reflex_export.reading.tensors import open_file

__all__ = ["read_given_statistics"]

IN_FOLDER: Final = ("meta/stats.json", "meta/episodes_stats.jsonl", "stats.json", "episodes_stats.jsonl")
"""The first that is there."""
_AGGREGATED: Final = ("count", "mean", "std", "min", "max")
"""What the episodes' values determine for the whole; quantiles are not among them."""

Array = npt.NDArray[np.float64]


def read_given_statistics(path: Path) -> Statistics:
    """By feature. `SourceError` or `StatisticsError` says what is wrong with the file."""
    found = _read(_file_of(path), path)
    if not found:
        raise StatisticsError(f"--stats {path} holds no statistics; give a dataset's meta/stats.json")
    return found


def _read(file: Path, given: Path) -> Statistics:
    if file.suffix == ".safetensors":
        return statistics_of(open_file(file), str(file))
    if file.suffix == ".jsonl":
        return _aggregated(_episodes(file), str(file))
    if file.suffix == ".json":
        return _whole(_parsed(read_text(file), str(file)), str(file))
    raise StatisticsError(
        f"--stats {given} is none of .json, .jsonl and .safetensors; give a dataset's meta/stats.json"
    )


def _file_of(path: Path) -> Path:
    if path.is_dir():
        found = next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
        if found is None:
            raise SourceError(
                f"--stats {path} has no {' and no '.join(IN_FOLDER[:2])}; give a LeRobot dataset's folder"
            )
        return found
    if not path.is_file():
        raise SourceError(
            f"--stats {path} does not exist; a dataset's statistics are fetched by "
            "`hf download DATASET --repo-type dataset --include 'meta/*' --local-dir FOLDER`"
        )
    return path


def _whole(content: Mapping[str, Any], origin: str) -> Statistics:
    found = (
        (feature, statistic, _single(_array(value, f"{origin}: {feature}.{statistic}")))
        for feature, values in content.items()
        for statistic, value in _object(values, f"{origin}: {feature}").items()
        if statistic in KEPT
    )
    return by_feature(found, origin)


def _episodes(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open("rb") as lines:
        number = 0
        while line := lines.readline(MAX_JSON_BYTES):
            number += 1
            origin = f"{file}, line {number}"
            if line.strip():
                yield _object(
                    _parsed(line.decode("utf-8-sig", errors="replace"), origin).get("stats"), f"{origin}: stats"
                )


def _aggregated(episodes: Iterable[Mapping[str, Any]], origin: str) -> Statistics:
    """The whole dataset's, from its episodes'."""
    episodes_of: dict[str, list[tuple[Array, ...]]] = {}
    for episode in episodes:
        for feature, values in episode.items():
            entry = _object(values, f"{origin}: {feature}")
            if set(_AGGREGATED) <= entry.keys():
                arrays = tuple(_array(entry[name], f"{origin}: {feature}.{name}") for name in _AGGREGATED)
                episodes_of.setdefault(feature, []).append(arrays)
    try:
        return {name: FeatureStatistics(_pooled(episodes_of[name]), origin) for name in sorted(episodes_of)}
    except ValueError as exc:
        raise StatisticsError(
            f"{origin}: a feature has another length in some episodes, or no frames ({exc}); repair the dataset"
        ) from exc


def _pooled(episodes: Sequence[tuple[Array, ...]]) -> Values:
    """One feature's over all frames; `ValueError` when episodes do not go together."""
    counts, means, stds, lows, highs = (np.stack(each) for each in zip(*episodes, strict=True))
    frames = counts.reshape(len(episodes), -1)[:, 0]
    if not frames.sum() > 0:
        raise ValueError("they count none")
    mean = np.average(means, axis=0, weights=frames)
    variance = np.average(np.square(stds) + np.square(means - mean), axis=0, weights=frames)
    whole = {"mean": mean, "std": np.sqrt(variance), "min": lows.min(axis=0), "max": highs.max(axis=0)}
    return {name: _single(values) for name, values in whole.items()}


def _single(values: Array) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # an infinity is refused by the name of its feature
        return values.astype(np.float32)


def _parsed(text: str, origin: str) -> Mapping[str, Any]:
    """Lenient with NaN, which a feature that nobody uses may have; one that is used is refused by its name."""
    try:
        parsed = json.loads(text, object_pairs_hook=unique_names)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise StatisticsError(f"{origin} is no JSON ({exc}); give a LeRobot dataset's statistics") from exc
    except ValueError as exc:
        raise StatisticsError(f"{origin}: {exc}; give a LeRobot dataset's statistics") from exc
    return _object(parsed, origin)


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise StatisticsError(f"{what} must be an object, but is {value!r:.60}; is this a LeRobot dataset's file?")
    return value


def _array(value: object, what: str) -> Array:
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError) as exc:
        raise StatisticsError(f"{what} is no array of numbers; compute the statistics again") from exc
    if array.size == 0:
        raise StatisticsError(f"{what} is empty; compute the statistics again")
    return array
