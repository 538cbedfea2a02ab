"""Pictures of one camera in full colour, from tables or videos, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from reflex.datasets.layout import DATA_FOLDER
from reflex_learning.errors import DatasetError
from reflex_learning.reading.dataset import Dataset
from reflex_learning.reading.episodes import tables_in
from reflex_learning.reading.info import Feature
from reflex_learning.reading.stills import stills_of
from reflex_learning.reading.videos import colours_of

__all__ = ["pictures_in_colour"]

Pixels = npt.NDArray[np.uint8]


def pictures_in_colour(dataset: Dataset, feature: Feature) -> Iterator[Pixels]:
    """Uint8 [height, width, 3], in the order of the files; `DatasetError` at the first that is none."""
    if feature.is_video:
        files = dict.fromkeys(episode.clips[feature.name].file for episode in dataset.episodes)
        for file in files:
            yield from colours_of(dataset.root, file)
        return
    for table in tables_in(dataset.root, DATA_FOLDER):
        yield from _of_table(dataset, table, feature.name)


def _of_table(dataset: Dataset, table: str, camera: str) -> Iterator[Pixels]:
    for row, still in enumerate(stills_of(dataset.root, table, camera, mode="RGB")):
        if still.pixels is None:
            raise DatasetError(f"{table}, row {row}, {camera}: {still.problem}; see: reflex datasets validate")
        yield still.pixels
