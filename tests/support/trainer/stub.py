"""An environment with the stub trainer in it, and a queue in memory that gives out one run after the other."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.datasets.content_hash import content_hash
from reflex.errors import ReflexError, TransportError
from reflex.training.port import ClaimedRun, Ending, Metric, Orders, Progress, WorkerFacts, lease_lost
from reflex.training.request import TrainingRequest

__all__ = ["PACKAGES", "MemoryQueue", "claimed", "dataset_in", "stub_environment", "stub_python"]

PACKAGES: Final = Path(__file__).parent / "packages"


def stub_python(folder: Path) -> Path:
    """A Python that knows the stub alone, as a trainer's environment knows nothing of Reflex."""
    program = folder / "bin" / "python"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(PACKAGES))} PYTHONDONTWRITEBYTECODE=1 '
        f'exec {shlex.quote(sys.executable)} -S "$@"\n'
    )  # fmt: skip
    program.chmod(0o755)
    return program


def stub_environment(folder: Path) -> Path:
    """As `reflex training setup` leaves one."""
    stub_python(folder)
    (folder / "reflex-trainer.json").write_text(json.dumps({"lerobot": "0.6.1", "device": "cpu", "families": ["act"]}))
    return folder


def dataset_in(folder: Path) -> Path:
    """As much of a dataset as the stub asks for."""
    info = folder / "dataset" / "meta" / "info.json"
    info.parent.mkdir(parents=True, exist_ok=True)
    info.write_text(json.dumps({"robot_type": "so101", "total_frames": 100}))
    return info.parent.parent


def claimed(
    request: TrainingRequest, dataset: Path, *, number: int = 1, attempt: int = 1, next_line: int = 0
) -> ClaimedRun:
    """On a dataset as it is now, where there is one."""
    known = content_hash(dataset).value if (dataset / "meta").is_dir() else "sha256:" + "0" * 64
    return ClaimedRun(
        run_id=f"run_{number}", lease_id=f"lease_{number}_{attempt}", lease_seconds=60.0, request=request,
        dataset_path=str(dataset), dataset_hash=known, attempt=attempt, next_line=next_line,
    )  # fmt: skip


@dataclass
class MemoryQueue:
    """What a worker told of its run. It holds the worker to the contract: nothing after the end, lines without gaps."""

    runs: list[ClaimedRun]
    lines: dict[int, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    beats: list[Progress] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    ending: Ending | None = None
    is_cancelled: bool = False
    is_lost: bool = False
    unreachable: int = 0
    """So many more requests are not answered."""
    refusal_of: Callable[[Progress | Ending], ReflexError | None] = lambda _: None
    cancels_at: int | None = None
    loses_at: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def claim(self, worker: WorkerFacts) -> ClaimedRun | None:  # noqa: ARG002
        self._be_reached()
        return self.runs.pop(0) if self.runs else None

    def beat(self, run_id: str, lease_id: str, progress: Progress) -> Orders:  # noqa: ARG002
        self._be_reached()
        assert self.ending is None, "a beat after the end"
        if self.is_lost or (self.loses_at is not None and progress.step >= self.loses_at):
            raise lease_lost(run_id)
        self._take(progress)
        self.metrics += progress.metrics
        self.beats.append(progress)
        self.states.append(progress.state)
        self.steps.append(progress.step)
        reached = self.cancels_at is not None and progress.step >= self.cancels_at
        return Orders(is_cancelled=self.is_cancelled or reached)

    def end(self, run_id: str, lease_id: str, ending: Ending) -> None:  # noqa: ARG002
        self._be_reached()
        if self.is_lost:
            raise lease_lost(run_id)
        assert self.ending in (None, ending), "two endings"
        self._take(ending)
        self.ending = ending
        self.ended.set()

    @property
    def next_line(self) -> int:
        return max(self.lines, default=-1) + 1

    @property
    def log(self) -> list[str]:
        return [self.lines[number] for number in sorted(self.lines)]

    def _take(self, said: Progress | Ending) -> None:
        if (refusal := self.refusal_of(said)) is not None:
            raise refusal
        self._hear(said.first_line, said.log)

    def _hear(self, first: int, lines: Iterable[str]) -> None:
        for number, line in enumerate(lines, first):
            assert self.lines.setdefault(number, line) == line, "another line of the same number"

    def _be_reached(self) -> None:
        if self.unreachable > 0:
            self.unreachable -= 1
            raise TransportError("the control plane cannot be reached")
