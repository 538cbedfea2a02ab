"""What a dataset of a run holds: its features, as `meta/info.json` and the schema of its tables have them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from reflex.datasets.layout import COUNTERS, PICTURE_NAMES
from reflex.embodiments import Embodiment

__all__ = ["Features", "PictureStorage", "data_schema", "info_of_features", "is_picture", "numeric"]

PictureStorage = Literal["video", "png"]
TYPES: Final[Mapping[str, Any]] = {
    "float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(),
}  # fmt: skip
PNG: Final = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass(frozen=True)
class Features:
    """Of one run: they hold for all of its episodes."""

    embodiment: Embodiment
    fps: int
    sizes: Mapping[str, tuple[int, int]]
    """Height and width of each camera's pictures."""
    storage: PictureStorage
    codec: str = "h264"
    pix_fmt: Mapping[str, str] | None = None

    def camera_of(self, feature: str) -> str:
        return feature.removeprefix("observation.images.")

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the features that are pictures."""
        return tuple(f"observation.images.{camera}" for camera in self.sizes)


def info_of_features(features: Features) -> dict[str, Any]:
    """`features` of `meta/info.json`; the order is that of the columns."""
    robot = features.embodiment
    told: dict[str, Any] = {
        "observation.state": _vector("float32", robot.state_names, features.fps),
        "action": _vector("float32", robot.action_names, features.fps),
    }
    for name in features.pictures:
        told[name] = _picture(features, name)
    told["reflex.measured_unix_s"] = _scalar("float64", features.fps)
    told["reflex.applied"] = _scalar("bool", features.fps)
    for camera in features.sizes:
        # Not called image: what has that in its name must have statistics of pictures.
        told[f"reflex.camera.{camera}.unix_s"] = _scalar("float64", features.fps)
    return told | {name: _scalar(dtype, features.fps) for name, dtype in COUNTERS.items()}


def numeric(info_features: Mapping[str, Any]) -> list[str]:
    """Names of the features that are numbers in a column."""
    return [name for name, feature in info_features.items() if not is_picture(feature)]


def is_picture(feature: Mapping[str, Any]) -> bool:
    return feature["dtype"] in ("image", "video")


def data_schema(info_features: Mapping[str, Any]) -> Any:  # noqa: ANN401  # pyarrow has no types
    """Of the tables in `data/`; a video has no column."""
    columns = {name: feature for name, feature in info_features.items() if feature["dtype"] != "video"}
    hub = {"info": {"features": {name: _of_hub(feature) for name, feature in columns.items()}}}
    fields = [pa.field(name, _type(feature)) for name, feature in columns.items()]
    return pa.schema(fields, metadata={"huggingface": json.dumps(hub)})


def _type(feature: Mapping[str, Any]) -> Any:  # noqa: ANN401  # pyarrow has no types
    if feature["dtype"] == "image":
        return PNG
    kind, (length,) = TYPES[feature["dtype"]], feature["shape"]
    return kind if length == 1 else pa.list_(kind, length)


def _of_hub(feature: Mapping[str, Any]) -> dict[str, Any]:
    """As the library `datasets` describes a column."""
    if feature["dtype"] == "image":
        return {"_type": "Image"}
    value = {"dtype": feature["dtype"], "_type": "Value"}
    length = feature["shape"][0]
    return value if length == 1 else {"feature": value, "length": length, "_type": "List"}


def _vector(dtype: str, names: tuple[str, ...], fps: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [len(names)], "names": list(names), "fps": fps}


def _scalar(dtype: str, fps: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1], "names": None, "fps": fps}


def _picture(features: Features, name: str) -> dict[str, Any]:
    height, width = features.sizes[features.camera_of(name)]
    told: dict[str, Any] = {
        "dtype": "video" if features.storage == "video" else "image",
        "shape": [height, width, 3],
        "names": list(PICTURE_NAMES),
    }
    if features.storage == "png":
        return told | {"fps": features.fps}
    return told | {
        "info": {
            "video.height": height,
            "video.width": width,
            "video.codec": features.codec,
            "video.pix_fmt": (features.pix_fmt or {}).get(name, "yuv420p"),
            "video.fps": features.fps,
            "video.channels": 3,
            "video.is_depth_map": False,
            "is_depth_map": False,
            "has_audio": False,
        }
    }
