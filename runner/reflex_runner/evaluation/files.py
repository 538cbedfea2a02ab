"""`Files`: the folder of an evaluation: each episode as it ends, the films of failures, and the whole at last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reflex.errors import SetupError
from reflex_runner.evaluation.films import Films
from reflex_runner.evaluation.outcomes import Evaluation
from reflex_runner.evaluation.report import EvaluationReport

__all__ = ["Files"]


class Files:
    """Begun in an empty folder: nothing that is there is written over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            is_empty = next(folder.iterdir(), None) is None
        except OSError as exc:
            raise _unwritable(folder, exc) from exc
        if not is_empty:
            raise SetupError(f"{folder} is not empty, and what was found out before stays: give another --out")

    def add(self, so_far: Evaluation) -> None:
        """The newest episode, on the disk at once: whatever ends the process loses none."""
        line = {"policy": so_far.policy, "without": so_far.without, **so_far.episodes[-1].as_json()}
        try:
            with (self.folder / "episodes.jsonl").open("a", encoding="utf-8") as file:
                file.write(_json(line) + "\n")
        except OSError as exc:
            raise _unwritable(self.folder, exc) from exc

    def films(self, label: str, most: int) -> Films:
        """Of the failures of one evaluation."""
        return Films(self.folder / "failures" / label, most)

    def write(self, report: EvaluationReport) -> None:
        """All of it."""
        try:
            (self.folder / "evaluation.json").write_text(_json(report.as_json()) + "\n", encoding="utf-8")
        except OSError as exc:
            raise _unwritable(self.folder, exc) from exc


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)


def _unwritable(folder: Path, exc: OSError) -> SetupError:
    return SetupError(f"{folder} cannot be written ({exc.strerror or exc}); give another --out")
