"""LeRobot's trainer for one run: begun, or gone on with at the last whole checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.processes.family import Family
from reflex.training.port import ClaimedRun
from reflex_learning.training import launcher
from reflex_learning.training.argv import is_offline, resume_arguments, start_arguments
from reflex_learning.training.checkpoints import clear_for_resume, last_checkpoint
from reflex_learning.training.child import DESCRIPTOR, Child, Outlets
from reflex_learning.training.journal import Journal
from reflex_learning.training.keeping import CACHE, OUTPUT
from reflex_learning.training.metrics import Numbers
from reflex_learning.training.settings import TrainerSettings
from reflex_learning.training.text import TrainerText

__all__ = ["Trainer", "without_ours"]

NOT_ITS: Final = ("REFLEX_", "PYTHON", "VIRTUAL_ENV", "SLURM_JOB_ID", "WANDB_", "HF_DATASETS_CACHE")
"""Our keys and our Python are none of the trainer's business; under Slurm it shows no progress."""
TO_NOBODY: Final = {
    "WANDB_MODE": "disabled",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


@dataclass
class Trainer:
    """`folder` is the run's, and holds nothing of any other."""

    run: ClaimedRun
    folder: Path
    settings: TrainerSettings
    journal: Journal
    family: Family
    numbers: Numbers = field(default_factory=Numbers)
    _measured: int = 0
    _text: TrainerText | None = None

    @property
    def output(self) -> Path:
        """Where LeRobot writes its checkpoints; it must make the folder itself."""
        return self.folder / OUTPUT

    @property
    def step(self) -> int:
        """The newest that it told of."""
        return max(self._measured, (self._text.step if self._text is not None else None) or 0)

    @property
    def kept_step(self) -> int:
        """That of the newest checkpoint; 0 where there is none."""
        newest = last_checkpoint(self.output)
        return 0 if newest is None else newest.step

    def start(self) -> Child:
        """Its process."""
        arguments = self._arguments()
        self.numbers, self._text = Numbers(), TrainerText(self.run.request.steps)
        self._measured = self.kept_step
        lora = self.run.request.lora_options
        return Child(
            [
                str(self.settings.python),
                "-P",
                launcher.__file__,
                DESCRIPTOR,
                str(lora.dropout if lora else 0.0),
                *arguments,
            ],
            self._environment(),
            self.folder,
            self.family,
            Outlets(self._hear, self._measure),
        )

    def _arguments(self) -> list[str]:
        request, dataset = self.run.request, self.run.dataset_path
        begun = clear_for_resume(self.output)
        if begun is None:
            return start_arguments(request, dataset, self.output, self.settings)
        self.journal.say(f"reflex: goes on at step {begun.step} of {request.steps}")
        return resume_arguments(request, dataset, self.output, self.settings)

    def _environment(self) -> dict[str, str]:
        environment = {**without_ours(self.family.environment("")), **TO_NOBODY}
        environment["HF_DATASETS_CACHE"] = str(self.folder / CACHE)
        if is_offline(self.run.request, self.run.dataset_path):
            environment["HF_HUB_OFFLINE"] = "1"
        if self.settings.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.settings.threads)
        return environment

    def _hear(self, piece: bytes) -> None:
        if self._text is not None:
            for line in self._text.feed(piece) if piece else self._text.end():
                self.journal.say(line)

    def _measure(self, piece: bytes) -> None:
        for metric in self.numbers.feed(piece):
            self.journal.measured(metric)
            self._measured = max(self._measured, metric.step)


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """What a child that is no part of Reflex may know."""
    return {name: value for name, value in environment.items() if not name.startswith(NOT_ITS)}
