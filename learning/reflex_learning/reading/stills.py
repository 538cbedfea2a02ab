"""Pictures that lie in the tables: one at a time, of no more pixels than a camera has."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from reflex_learning.errors import DatasetError
from reflex_learning.reading.tables import blocks_of
from reflex_learning.reading.videos import MOST_PIXELS

__all__ = ["Mode", "Still", "stills_of"]

Mode = Literal["L", "RGB"]

ROWS_AT_ONCE: Final = 16
FORMATS: Final = ("PNG", "JPEG")


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """`pixels` is None where it is no picture, and `problem` says why."""

    episode: int
    height: int
    width: int
    pixels: npt.NDArray[np.uint8] | None
    problem: str = ""


def stills_of(root: Path, file: str, camera: str, mode: Mode = "L") -> Iterator[Still]:
    """Of one camera and one table, in their order: brightness alone (L), or colours."""
    for block in blocks_of(root, file, ["episode_index", camera], ROWS_AT_ONCE):
        for row in block.to_pylist():
            number = row.get("episode_index")
            yield _still(number if isinstance(number, int) else -1, row.get(camera), mode)


def _still(episode: int, cell: Any, mode: Mode) -> Still:  # noqa: ANN401  # whatever the column holds
    content = cell.get("bytes") if isinstance(cell, dict) else None
    if not isinstance(content, bytes):
        return Still(episode, 0, 0, None, "it holds no picture; one that lies elsewhere is not looked for")
    try:
        return _decoded(episode, content, mode)
    except (OSError, ValueError, SyntaxError, DatasetError, Image.DecompressionBombError, Warning) as exc:
        return Still(episode, 0, 0, None, f"it is no picture ({str(exc)[:80]})")


def _decoded(episode: int, content: bytes, mode: Mode) -> Still:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise DatasetError(f"{picture.width} x {picture.height}")
            return Still(episode, picture.height, picture.width, np.asarray(picture.convert(mode), np.uint8))
