"""The table in `data/` of one episode: rows are handed to the file in groups, so that memory does not grow with it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from reflex_runner.recording.lerobot.features import data_schema

__all__ = ["Rows", "png", "read_numbers"]

GROUP: Final = 256
GROUP_OF_PICTURES: Final = 32
PNG_EFFORT: Final = 1
Row = Mapping[str, Any]
"""A number, an array of numbers, or a PNG's bytes, by feature."""


class Rows:
    """Written as the frames come."""

    def __init__(self, file: Path, info_features: Mapping[str, Any]) -> None:
        self._schema = data_schema(info_features)
        self._writer = pq.ParquetWriter(file, self._schema, compression="snappy")
        self._group = GROUP_OF_PICTURES if any(pa.types.is_struct(kind) for kind in self._schema.types) else GROUP
        self._waiting: list[Row] = []
        self.rows = 0

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) >= self._group:
            self._write()

    def finish(self) -> None:
        if self._waiting:
            self._write()
        self._writer.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._writer.close()

    def _write(self) -> None:
        columns = [_column(field.type, [row[field.name] for row in self._waiting]) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._waiting.clear()


def png(pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """A cell of a column of pictures."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=PNG_EFFORT)
    return {"bytes": file.getvalue(), "path": None}


def read_numbers(file: Path, name: str) -> npt.NDArray[np.float64]:
    """One column of numbers as [frames, axes]."""
    column = pq.read_table(file, columns=[name], use_threads=False).column(0).combine_chunks()
    rows = len(column)
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    return np.asarray(flat.to_pylist() if pa.types.is_boolean(flat.type) else flat.to_numpy(), np.float64).reshape(
        rows, -1
    )


def _column(kind: Any, values: list[Any]) -> Any:  # noqa: ANN401  # pyarrow has no types
    if pa.types.is_fixed_size_list(kind):
        flat = np.concatenate([np.asarray(value, np.float32) for value in values])
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.array(values, kind)
    return pa.array([np.asarray(value).item() for value in values], kind)
