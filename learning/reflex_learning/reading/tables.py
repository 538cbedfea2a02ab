"""Parquet of others: opened without trust, and read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from reflex_learning.errors import DatasetError
from reflex_learning.reading.places import regular_file

__all__ = ["blocks_of", "numbers_of", "open_table", "translated"]

MOST_FOOTER_BYTES: Final = 64 * 1024 * 1024
MOST_GROUP_BYTES: Final = 512 * 1024 * 1024
"""Of the columns that are read, unpacked: a row group is held in memory at worst."""
ROWS_AT_ONCE: Final = 8_192
Array = npt.NDArray[Any]


@contextmanager
def translated(relative: str) -> Iterator[None]:
    """What pyarrow says of a broken file, in one sentence with the file's name."""
    try:
        yield
    except DatasetError:
        raise
    except (pa.ArrowException, OSError, ValueError, RuntimeError, OverflowError, MemoryError) as exc:
        told = str(exc).split("\n")[0][:160]
        raise DatasetError(f"{relative} is no readable parquet file ({told}); copy it anew") from exc


@contextmanager
def open_table(root: Path, relative: str) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`."""
    path = regular_file(root, relative)
    with translated(relative):
        file = pq.ParquetFile(
            path,
            thrift_string_size_limit=MOST_FOOTER_BYTES,
            thrift_container_size_limit=MOST_FOOTER_BYTES // 16,
            memory_map=False,
        )
    with file:
        yield file


def blocks_of(root: Path, relative: str, columns: Sequence[str], rows: int = ROWS_AT_ONCE) -> Iterator[Any]:
    """Record batches with those of the columns that the file has."""
    with open_table(root, relative) as file, translated(relative):
        there = [name for name in columns if name in file.schema_arrow.names]
        _refuse_huge(file.metadata, set(there), relative)
        yield from file.iter_batches(batch_size=rows, columns=there, use_threads=False)


def _refuse_huge(metadata: Any, columns: set[str], relative: str) -> None:  # noqa: ANN401  # pyarrow has no types
    """Before a few kilobytes become all of the memory."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        parts = [group.column(index) for index in range(group.num_columns)]
        size = sum(part.total_uncompressed_size for part in parts if _root_of(part.path_in_schema, columns))
        if size > MOST_GROUP_BYTES:
            raise DatasetError(f"{relative} has a row group of {size / 2**20:.0f} MiB; write it in smaller ones")


def _root_of(path: str, columns: set[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in columns)


def numbers_of(column: Any) -> Array:  # noqa: ANN401  # pyarrow has no types
    """A column as [rows, values]: float64, or int64; a missing value is a NaN. `DatasetError` where rows differ."""
    rows, flat = len(column), column
    while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type) or pa.types.is_large_list(flat.type):
        flat = flat.flatten()
    if pa.types.is_boolean(flat.type):
        flat = flat.cast(pa.int8())
    values = np.asarray(flat.to_numpy(zero_copy_only=False))
    if values.dtype.kind not in "iuf" or (rows and len(values) % rows):
        raise DatasetError("its rows are not all as wide")
    wide = values if values.dtype == np.int64 else values.astype(np.float64)
    return wide.reshape(rows, -1) if rows else wide.reshape(0, 1)
