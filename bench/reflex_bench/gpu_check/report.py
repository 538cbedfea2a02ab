"""What was measured so far: printed as it comes, and a file that is whole at any time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from reflex_bench.gpu_check.bounds import Ceilings
from reflex_bench.gpu_check.card import Card
from reflex_bench.gpu_check.rows import LeftOut, Row

__all__ = ["Report", "StageReport", "commit_of"]


@dataclass
class StageReport:
    """One stage; `seconds` is what it took of the budget."""

    name: str
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, told: Row | LeftOut) -> None:
        """Keep it, and say it."""
        if isinstance(told, Row):
            self.rows.append(told)
            print(told, flush=True)
        else:
            self.left_out.append(told.why)
            print(f"  left out: {told.why}", flush=True)


@dataclass
class Report:
    """A run of the check."""

    card: Card
    is_small: bool
    commit: str
    path: Path
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    stages: list[StageReport] = field(default_factory=list)

    def rows(self, **keys: str | int) -> Iterator[Row]:
        """Those whose keys say all of this."""
        for stage in self.stages:
            yield from (row for row in stage.rows if keys.items() <= row.keys.items())

    def value(self, **keys: str | int) -> float | None:
        """The first of them."""
        return next((row.value for row in self.rows(**keys)), None)

    @property
    def ceilings(self) -> Ceilings | None:
        """None before they were measured."""
        copy, product = self.value(ceiling="copy"), self.value(ceiling="product")
        return Ceilings(copy * 1e12, product * 1e12) if copy and product else None

    @property
    def ways(self) -> list[str]:
        """The ways of running that work here, the first is the one to serve by."""
        return [str(row.keys["works"]) for stage in self.stages for row in stage.rows if "works" in row.keys]

    def as_json(self) -> dict[str, Any]:
        versions = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
        stages = [{**asdict(stage), "rows": [row.as_json() for row in stage.rows]} for stage in self.stages]
        head = {"card": asdict(self.card), "date": self.began, "commit": self.commit, "small": self.is_small}
        return {**head, "versions": versions, "stages": stages}

    def write(self) -> None:
        """Beside the file, then in its place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.part")
        beside.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")
        beside.replace(self.path)


def commit_of(folder: Path) -> str:
    """Of a checkout, or what a packed one says of itself; empty where neither is known."""
    packed = folder / "COMMIT"
    if packed.is_file():
        return packed.read_text(encoding="ascii").strip()
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
