"""How a defect gets into a dataset: its values, what sums them up, or its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from support.datasets.drafts import LENGTHS, Draft, Layout, healthy
from support.datasets.writing import write

__all__ = ["Defect", "rewrite_table"]


@dataclass(frozen=True)
class Defect:
    """`values` is done before a draft is summed up, `meta` after that, `files` to what was written."""

    values: Callable[[Draft], object] | None = None
    meta: Callable[[Draft], object] | None = None
    files: Callable[[Path], object] | None = None
    layout: Layout = "video"
    lengths: tuple[int, ...] = LENGTHS

    def make(self, root: Path) -> Path:
        draft = healthy(self.layout, self.lengths)
        if self.values is not None:
            self.values(draft)
        draft.sum_up()
        if self.meta is not None:
            self.meta(draft)
        write(draft, root)
        if self.files is not None:
            self.files(root)
        return root


def rewrite_table(file: Path, change: Callable[[Any], Any]) -> None:
    pq.write_table(change(pq.read_table(file)), file)
