"""`meta/info.json`, parsed: what is missing or of another kind in it is kept apart, for rules to tell of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.datasets.layout import INFO_FILE
from reflex_learning.errors import DatasetError
from reflex_learning.reading.places import read_object

__all__ = ["Feature", "Info", "parse_info", "read_info"]

NUMBERS: Final = frozenset(
    {"bool", "float16", "float32", "float64"} | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
PICTURES: Final = ("image", "video")
FASTEST_HZ: Final = 1e6
MOST_AXES: Final = 5
MOST_VALUES: Final = 1_000_000
"""In one cell of a table."""
MOST_FEATURES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Feature:
    """One entry of `features`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    names: object
    told: Mapping[str, Any]

    @property
    def is_picture(self) -> bool:
        return self.dtype in PICTURES

    @property
    def is_video(self) -> bool:
        return self.dtype == "video"

    @property
    def is_numeric(self) -> bool:
        return self.dtype in NUMBERS

    @property
    def width(self) -> int:
        """Values in a cell."""
        return math.prod(self.shape)

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each value: those of the file where there are as many, else numbers."""
        names = self.names
        if isinstance(names, Mapping) and len(names) == 1:
            names = next(iter(names.values()))
        if isinstance(names, list) and len(names) == self.width:
            return tuple(str(name) for name in names)
        return tuple(str(number) for number in range(self.width))

    @property
    def video(self) -> Mapping[str, Any]:
        """What the file says of the video: codec, size, rate."""
        told = self.told.get("info")
        return told if isinstance(told, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Info:
    """`told` is the whole file."""

    told: Mapping[str, Any]
    version: str
    fps: float
    features: Mapping[str, Feature]
    malformed: tuple[str, ...]
    """Names of features that are none: without dtype or shape, or of impossible ones."""

    @property
    def robot_type(self) -> str | None:
        told = self.told.get("robot_type")
        return told if isinstance(told, str) else None

    @property
    def cameras(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features.values() if feature.is_picture)

    @property
    def videos(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features.values() if feature.is_video)

    @property
    def numeric(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features.values() if feature.is_numeric)

    def total(self, name: str) -> int | None:
        """`total_<name>`, where it is a whole number."""
        told = self.told.get(f"total_{name}")
        return told if type(told) is int else None


def read_info(root: Path) -> Info:
    """Of a dataset; `DatasetError` where nothing can be made of it."""
    if not (root / INFO_FILE).exists():
        raise DatasetError(f"{root} is no LeRobot dataset: it has no {INFO_FILE}; give the folder that has")
    return parse_info(read_object(root, INFO_FILE))


def parse_info(told: Mapping[str, Any]) -> Info:
    version, fps, features = told.get("codebase_version"), told.get("fps"), told.get("features")
    if not isinstance(version, str):
        raise DatasetError(f"{INFO_FILE} has no codebase_version; copy the dataset anew")
    if not isinstance(fps, int | float) or isinstance(fps, bool) or not 0 < fps < FASTEST_HZ:
        raise DatasetError(f"{INFO_FILE} has no fps above 0; write the rate at which the dataset was recorded")
    if not isinstance(features, Mapping) or len(features) > MOST_FEATURES:
        raise DatasetError(f"{INFO_FILE} has no features; copy the dataset anew")
    parsed = {name: _feature(name, each) for name, each in features.items()}
    whole = {name: feature for name, feature in parsed.items() if feature is not None}
    return Info(told, version, float(fps), whole, tuple(name for name in parsed if name not in whole))


def _feature(name: str, told: object) -> Feature | None:
    if not isinstance(told, Mapping):
        return None
    dtype, shape = told.get("dtype"), told.get("shape")
    if not isinstance(dtype, str) or not isinstance(shape, list) or not 1 <= len(shape) <= MOST_AXES:
        return None
    if not all(type(length) is int and length > 0 for length in shape) or math.prod(shape) > 64 * MOST_VALUES:
        return None
    return Feature(name, dtype, tuple(shape), told.get("names"), told)
