"""What follows a training: the policy is exported, held against its checkpoint, and registered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reflex.datasets.layout import INFO_FILE
from reflex.embodiments import bundled_embodiments
from reflex.errors import SetupError
from reflex.model_repository import policy_folder
from reflex.processes.family import Family
from reflex.training.port import ClaimedRun, Exported
from reflex_learning.errors import TrainingError
from reflex_learning.training.child import Child, Outlets
from reflex_learning.training.journal import Journal
from reflex_learning.training.text import TrainerText

__all__ = ["Exporter", "Watch"]

Watch = Callable[[Child], int]
"""Wait for a child's end, and end it when the run is taken away; its exit code."""
LONGEST_ANSWER: Final = 16 << 20


@dataclass
class Exporter:
    """The commands are those of `reflex`, in a process of their own: what they need of memory goes with it."""

    run: ClaimedRun
    repository: Path
    embodiment: str | None
    journal: Journal
    family: Family
    watch: Watch
    _answer: bytearray = field(default_factory=bytearray)

    @property
    def name(self) -> str:
        """Of the policy."""
        return self.run.request.name or f"run-{self.run.run_id}"[:64]

    def export(self, model: Path) -> Exported:
        """Publish the checkpoint, and hold it against itself once more as whoever serves it would."""
        self.repository.mkdir(parents=True, exist_ok=True)
        told = self._reflex("export", str(model), "--name", self.name, "--repository", str(self.repository),
                            *self._embodiment(), *self._replace(model))  # fmt: skip
        parity = self._reflex("verify", str(self.repository), "--policy", self.name, "--source", str(model))
        policy = told["policies"][0]
        return Exported(
            policy=self.name, model_hash=policy["policy_hash"], repository=str(self.repository.resolve()), parity=parity
        )

    def _reflex(self, *arguments: str) -> dict[str, Any]:
        """The answer of one command; `TrainingError` has the words of one that failed."""
        self.journal.say(f"reflex: {' '.join(arguments[:2])}")
        self._answer.clear()
        text = TrainerText(0)
        argv = [sys.executable, "-m", "reflex.cli", *arguments, "--json"]
        outlets = Outlets(lambda piece: self._hear(text, piece), self._take)
        code = self.watch(Child(argv, self.family.environment(""), Path.cwd(), self.family, outlets))
        answer = _object_of(bytes(self._answer))
        if code != 0:
            words = f"the training went well, but `reflex {arguments[0]}` failed: {_message(answer, code)}"
            raise TrainingError(f"{words}; its checkpoints are kept on this worker, in runs/{self.run.run_id}")
        return answer

    def _embodiment(self) -> Sequence[str]:
        """The worker's, else the robot that the dataset names, where Reflex knows it."""
        name = self.embodiment or _robot_of(Path(self.run.dataset_path))
        return () if name is None else ("--embodiment", name)

    def _replace(self, model: Path) -> Sequence[str]:
        """What this very run has published before its worker was lost; never another run's policy."""
        try:
            config = _object_of((policy_folder(self.repository, self.name) / "reflex_config.json").read_bytes())
        except (OSError, SetupError):
            return ()
        return ("--replace",) if config.get("source") == str(model) else ()

    def _hear(self, text: TrainerText, piece: bytes) -> None:
        for line in text.feed(piece) if piece else text.end():
            self.journal.say(line)

    def _take(self, piece: bytes) -> None:
        if len(self._answer) < LONGEST_ANSWER:
            self._answer += piece


def _robot_of(dataset: Path) -> str | None:
    try:
        robot = _object_of((dataset / INFO_FILE).read_bytes()).get("robot_type")
    except OSError:
        return None
    return next((name for name in bundled_embodiments() if name == robot), None)


def _object_of(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _message(answer: Mapping[str, Any], code: int) -> str:
    return str(answer.get("message") or answer.get("first_difference") or f"it ended with {code}; see the run's log")
