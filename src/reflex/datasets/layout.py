"""Where things lie in a dataset, and what every dataset has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "CODEBASE_VERSION",
    "COUNTERS",
    "DATA_FOLDER",
    "DATA_FORMAT",
    "EPISODES_FOLDER",
    "FILES_A_CHUNK",
    "INFO_FILE",
    "PICTURE_NAMES",
    "STATS_FILE",
    "TASKS_FILE",
    "TASKS_SCHEMA",
    "VIDEOS_FOLDER",
    "VIDEO_FORMAT",
    "file_of",
]

CODEBASE_VERSION: Final = "v3.0"
INFO_FILE: Final = "meta/info.json"
STATS_FILE: Final = "meta/stats.json"
TASKS_FILE: Final = "meta/tasks.parquet"
EPISODES_FOLDER: Final = "meta/episodes"
DATA_FOLDER: Final = "data"
VIDEOS_FOLDER: Final = "videos"
DATA_FORMAT: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_FORMAT: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_A_CHUNK: Final = 1_000
"""The most files in one folder `chunk-000`."""
PICTURE_NAMES: Final = ("height", "width", "channels")
"""`names` of a feature that is pictures: by the last of them LeRobot knows in which order the axes are."""
COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "timestamp": "float32",
        "frame_index": "int64",
        "episode_index": "int64",
        "index": "int64",
        "task_index": "int64",
    }
)
"""Every dataset has them, of shape [1]."""
TASKS_COLUMNS: Final = (("task_index", "int64", "int64"), ("task", "unicode", "object"))
"""Of `meta/tasks.parquet`: names, and their types as pandas and numpy call them."""
TASKS_SCHEMA: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pandas": json.dumps(
            {
                "index_columns": ["task"],
                "column_indexes": [],
                "columns": [
                    {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
                    for name, kind, numpy in TASKS_COLUMNS
                ],
                "pandas_version": "2.2.0",
            }
        )
    }
)
"""Metadata of that file: the texts are the index. LeRobot takes what pandas calls row number `task_index`; without
this, a policy is told a number."""


def file_of(chunk: int, number: int, suffix: str) -> str:
    """`chunk-000/file-012.parquet`."""
    return f"chunk-{chunk:03d}/file-{number:03d}{suffix}"
