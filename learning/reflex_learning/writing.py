"""What sums a dataset up, written; and a folder that is there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from reflex.datasets.layout import EPISODES_FOLDER, FILES_A_CHUNK, TASKS_FILE, TASKS_SCHEMA, file_of
from reflex_learning.errors import DatasetError

__all__ = ["new_folder", "place_of", "refuse_taken", "write_rows", "write_tasks"]

ROWS_A_FILE: Final = 1_000


def refuse_taken(out: Path) -> None:
    """A name that something has."""
    if out.exists() or out.is_symlink():
        raise DatasetError(f"{out} is there already; give a folder that is not")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """One beside `out` to write into, which gets that name at the end; `DatasetError` where there is one already."""
    refuse_taken(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
        partial.rename(out)
    except OSError as exc:
        raise DatasetError(f"{out} could not be written ({exc.strerror}); make room, or give another folder") from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def place_of(number: int, suffix: str) -> str:
    """Of the file of that number."""
    return file_of(*divmod(number, FILES_A_CHUNK), suffix)


def write_rows(new: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """`meta/episodes`."""
    for number, start in enumerate(range(0, len(rows), ROWS_A_FILE)):
        file = new / EPISODES_FOLDER / file_of(0, number, ".parquet")
        file.parent.mkdir(parents=True, exist_ok=True)
        place = {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": number}
        few = [{**row, **place} for row in rows[start:][:ROWS_A_FILE]]
        pq.write_table(pa.Table.from_pylist(few), file, compression="snappy")


def write_tasks(new: Path, texts: Sequence[str]) -> None:
    """Row i is task i; the text is what pandas calls the index."""
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata=dict(TASKS_SCHEMA))
    pq.write_table(pa.table([list(range(len(texts))), list(texts)], schema=schema), new / TASKS_FILE)
