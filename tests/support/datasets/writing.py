"""A draft as files, in any of the three layouts; written without the product's writer."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from support.datasets.drafts import FPS, Draft, Pixels

__all__ = ["make", "mp4", "write", "write_tasks"]

TYPES: Final = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}


def make(draft: Draft, root: Path) -> Path:
    """Sum up and write."""
    draft.sum_up()
    return write(draft, root)


def write(draft: Draft, root: Path) -> Path:
    _write_data(draft, root)
    _write_rows(draft, root)
    if draft.layout != "image":
        _write_videos(draft, root)
    write_tasks(root, list(enumerate(draft.tasks)))
    (root / "meta" / "stats.json").write_text(json.dumps(draft.stats))
    (root / "meta" / "info.json").write_text(json.dumps(draft.info))
    return root


def write_tasks(root: Path, tasks: Sequence[tuple[int, str]], index: Sequence[Any] = ("task",)) -> None:
    """As pandas does: what the index is, stands in the metadata of the schema."""
    table = pa.table(
        {"task_index": pa.array([number for number, _ in tasks], pa.int64()), "task": [text for _, text in tasks]}
    )
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": list(index), "column_indexes": [], "columns": columns, "pandas_version": "2.2.3"}
    _save(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), root / "meta" / "tasks.parquet")


def _write_data(draft: Draft, root: Path) -> None:
    tables = [_table(draft, number) for number in range(len(draft.episodes))]
    if draft.layout == "packed":
        tables = [pa.concat_tables(tables)]
    for number, table in enumerate(tables):
        _save(table, root / f"data/chunk-000/file-{number:03d}.parquet")


def _table(draft: Draft, number: int) -> Any:
    columns = {name: _column(draft, name, values) for name, values in draft.episodes[number].items()}
    if draft.layout == "image":
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        for camera, shown in draft.pictures.items():
            columns[camera] = pa.array(
                [{"bytes": _png(pixels.tobytes(), pixels.shape), "path": None} for pixels in shown[number]], kind
            )
    return pa.table(columns)


def _column(draft: Draft, name: str, values: Any) -> Any:
    if name in draft.types:
        return pa.array(values.tolist(), draft.types[name])
    kind = TYPES[str(values.dtype)]
    return pa.array(values.tolist(), kind if values.ndim == 1 else pa.list_(kind, values.shape[1]))


def _write_rows(draft: Draft, root: Path) -> None:
    groups = [draft.rows] if draft.layout == "packed" else [[row] for row in draft.rows]
    for number, rows in enumerate(groups):
        _save(pa.Table.from_pylist(rows), root / f"meta/episodes/chunk-000/file-{number:03d}.parquet")


def _write_videos(draft: Draft, root: Path) -> None:
    for camera, episodes in draft.pictures.items():
        files = [[pixels for shown in episodes for pixels in shown]] if draft.layout == "packed" else episodes
        for number, shown in enumerate(files):
            file = root / "videos" / camera / f"chunk-000/file-{number:03d}.mp4"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(mp4(np.stack(shown).tobytes(), len(shown), shown[0].shape))


@functools.lru_cache(maxsize=256)
def mp4(pixels: bytes, count: int, shape: tuple[int, ...], pts: tuple[int, ...] | None = None) -> bytes:
    """Frame n at n / FPS, or at `pts[n]` thousandths of a frame."""
    frames: Sequence[Pixels] = np.frombuffer(pixels, np.uint8).reshape(count, *shape)  # type: ignore[assignment]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "18", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], "yuv420p"
        stream.codec_context.thread_count = 1
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS * 1000)
        for number, pixels_of in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_of), format="rgb24")
            frame.time_base, frame.pts = stream.time_base, number * 1000 if pts is None else pts[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@functools.lru_cache(maxsize=1024)
def _png(pixels: bytes, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _save(table: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
