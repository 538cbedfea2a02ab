"""Rules of `features` in `meta/info.json`, and of the tables' columns against them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from reflex.datasets.layout import COUNTERS, PICTURE_NAMES
from reflex_learning.reading.info import Feature
from reflex_learning.validation.rule import Finding, Rule
from reflex_learning.validation.survey import Survey, TableFacts

__all__ = ["RULES"]

OTHER_KINDS: Final = ("string", "language")
VECTORS: Final = ("action", "observation.state")
TYPES: Final = {"bool": pa.bool_(), "float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64()} | {
    f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def _are_known(survey: Survey) -> Iterator[Finding]:
    for name in survey.info.malformed:
        yield Finding(f"{name[:80]} has no dtype or no shape of whole numbers above 0")
    for feature in survey.info.features.values():
        if not (feature.is_numeric or feature.is_picture or feature.dtype in OTHER_KINDS):
            yield Finding(f"{feature.name} has the dtype {feature.dtype[:40]!r}, which LeRobot does not know")


def _have_safe_names(survey: Survey) -> Iterator[Finding]:
    for name in survey.info.features:
        if not name or "/" in name or "\\" in name or ".." in name or not name.isprintable():
            yield Finding(f"{name[:80]!r} is no name: a camera's becomes a folder")


def _counters_are_there(survey: Survey) -> Iterator[Finding]:
    for name, dtype in COUNTERS.items():
        feature = survey.info.features.get(name)
        if feature is None or feature.dtype != dtype or feature.shape != (1,):
            found = "missing" if feature is None else f"{feature.dtype} of shape {list(feature.shape)}"
            yield Finding(f"{name} is {found}; it must be {dtype} of shape [1]")


def _axes_have_names(survey: Survey) -> Iterator[Finding]:
    for feature in (survey.info.features[name] for name in VECTORS if name in survey.info.features):
        names = feature.names
        if isinstance(names, dict) and len(names) == 1:
            names = next(iter(names.values()))
        if not isinstance(names, list) or len(names) != feature.width:
            count = len(names) if isinstance(names, list) else "no"
            yield Finding(f"{feature.name} has {feature.width} values and {count} names")
        elif len({str(name) for name in names}) != len(names):
            yield Finding(f"{feature.name} has a name twice: {', '.join(map(str, names))[:120]}")


def _pictures_have_names(survey: Survey) -> Iterator[Finding]:
    for feature in survey.info.cameras:
        if len(feature.shape) != len(PICTURE_NAMES):
            yield Finding(f"{feature.name} has the shape {list(feature.shape)}, not [height, width, channels]")
        elif feature.names not in (list(PICTURE_NAMES), [*PICTURE_NAMES[:2], "channel"]):
            yield Finding(f"{feature.name} has the names {str(feature.names)[:80]}, not {list(PICTURE_NAMES)}")


def _serve_a_policy(survey: Survey) -> Iterator[Finding]:
    for name in VECTORS:
        feature = survey.info.features.get(name)
        if feature is None or not feature.is_numeric:
            yield Finding(f"there is no {name}, which every policy learns from")


def _columns_are_there(survey: Survey) -> Iterator[Finding]:
    features = survey.info.features.values()
    wanted = {feature.name for feature in features if not feature.is_video}
    for table in survey.data:
        for name in sorted((wanted ^ table.columns.keys()) - set(survey.info.malformed)):
            how = "lacks the column" if name in wanted else "has, and meta/info.json does not, the column"
            yield Finding(f"{table.file} {how} {name[:80]}", table.file)


def _compared(survey: Survey) -> Iterator[tuple[TableFacts, Feature, Any]]:
    for table in survey.data:
        for feature in survey.info.features.values():
            if feature.name in table.columns and not feature.is_video:
                yield table, feature, table.columns[feature.name]


def _columns_have_types(survey: Survey) -> Iterator[Finding]:
    for table, feature, kind in _compared(survey):
        value = _value_of(kind)
        wanted = "pictures (struct of bytes and path)" if feature.is_picture else feature.dtype
        is_other = not pa.types.is_struct(value) if feature.is_picture else TYPES.get(feature.dtype, value) != value
        if is_other:
            yield Finding(f"{table.file}: {feature.name} is {value}, and {wanted} in meta/info.json", table.file)


def _columns_have_widths(survey: Survey) -> Iterator[Finding]:
    for table, feature, kind in _compared(survey):
        width = _width_of(kind)
        if feature.is_numeric and width is not None and width != math.prod(feature.shape):
            yield Finding(
                f"{table.file}: {feature.name} has {width} values, and {feature.width} in meta/info.json", table.file
            )


def _value_of(kind: Any) -> Any:  # noqa: ANN401  # pyarrow has no types
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return kind


def _width_of(kind: Any) -> int | None:  # noqa: ANN401  # pyarrow has no types
    """None where each row says its own."""
    if pa.types.is_fixed_size_list(kind):
        inner = _width_of(kind.value_type)
        return None if inner is None else inner * int(kind.list_size)
    return None if pa.types.is_list(kind) or pa.types.is_large_list(kind) else 1


WRITE: Final = "write features of meta/info.json as the columns are"
RULES: Final = (
    Rule("features", "error", "every feature has a dtype and a shape that LeRobot knows", WRITE, _are_known),
    Rule(
        "feature-names",
        "error",
        "names of features may be names of columns and folders",
        "rename the feature, its column and its folder",
        _have_safe_names,
    ),
    Rule(
        "counters",
        "error",
        "timestamp, frame_index, episode_index, index and task_index are declared",
        WRITE,
        _counters_are_there,
    ),
    Rule(
        "axis-names",
        "error",
        "state and action have a name for each value, each once",
        "write the joints' names, in the order of the values",
        _axes_have_names,
    ),
    Rule(
        "picture-names",
        "error",
        "pictures are height, width, channels",
        'write "names": ["height", "width", "channels"]; with null, training fails',
        _pictures_have_names,
    ),
    Rule(
        "policy-features",
        "error",
        "there are a state and an action",
        "record, or rename, observation.state and action",
        _serve_a_policy,
    ),
    Rule("columns", "error", "every table has the columns of meta/info.json, and no other", WRITE, _columns_are_there),
    Rule(
        "column-types",
        "warning",
        "columns have the type of meta/info.json",
        "write the table with the declared type; LeRobot casts without a word",
        _columns_have_types,
    ),
    Rule("column-widths", "error", "columns are as wide as meta/info.json says", WRITE, _columns_have_widths),
)
