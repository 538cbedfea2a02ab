"""`meta/tasks.parquet`: which text the frames of a task mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from reflex.datasets.layout import TASKS_FILE
from reflex_learning.errors import DatasetError
from reflex_learning.reading.tables import blocks_of, open_table

__all__ = ["check_task_index", "read_tasks"]


def read_tasks(root: Path) -> tuple[tuple[int, str], ...]:
    """Number and text of each row; LeRobot takes row number `task_index`."""
    with open_table(root, TASKS_FILE) as file:
        names = file.schema_arrow.names
    text = _text_column(names)
    if text is None or "task_index" not in names:
        raise DatasetError(f"{TASKS_FILE} lacks the column {'task' if text is None else 'task_index'}; write it anew")
    rows = [row for block in blocks_of(root, TASKS_FILE, ["task_index", text]) for row in block.to_pylist()]
    if any(type(row["task_index"]) is not int or not isinstance(row[text], str) for row in rows):
        raise DatasetError(f"{TASKS_FILE} has a row without number or text; write it anew")
    return tuple((row["task_index"], row[text]) for row in rows)


def check_task_index(root: Path) -> None:
    """Whether pandas, and so LeRobot, has the texts as the index: else both call a row by its number."""
    with open_table(root, TASKS_FILE) as file:
        schema = file.schema_arrow
    text = _text_column(schema.names)
    if text is None or _index_of(schema.metadata or {}) != [text]:
        raise DatasetError(
            f"{TASKS_FILE} has the texts in a column, and not as the index of pandas: LeRobot gives a policy the row's "
            "number in their place; write it anew, with the texts as the index"
        )


def _text_column(names: Sequence[str]) -> str | None:
    return next((name for name in ("task", "__index_level_0__") if name in names), None)


def _index_of(metadata: Mapping[bytes, bytes]) -> object:
    """Columns, or a description of what is none."""
    try:
        told = json.loads(metadata.get(b"pandas", b"null"))
    except (ValueError, RecursionError):
        return None
    return told.get("index_columns") if isinstance(told, Mapping) else None
