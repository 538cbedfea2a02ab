"""Whether the dataset of a run is still what was registered: what is trained on anything else was never validated."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reflex.datasets.content_hash import Looks, content_hash, looks_of
from reflex.errors import SetupError
from reflex.training.port import ClaimedRun
from reflex_learning.errors import TrainingError

__all__ = ["RegisteredDataset"]


@dataclass
class RegisteredDataset:
    """Read whole once, and again only when its files look otherwise than they did then.

    What lies on the hub is fetched by the trainer, and is not looked at.
    """

    run: ClaimedRun
    _looks: Looks | None = field(default=None, init=False)

    def require(self, meanwhile: Callable[[], None] = lambda: None) -> bool:
        """Whether it was read now; `meanwhile` is called again and again as it is. `TrainingError` says what to do."""
        folder = Path(self.run.dataset_path)
        if not folder.is_dir():
            return False
        try:
            if looks_of(folder) == self._looks:
                return False
            found = content_hash(folder, lambda *_: meanwhile())
        except SetupError as exc:
            raise TrainingError(f"the dataset cannot be trained on: {exc}") from exc
        if found.value != self.run.dataset_hash:
            raise TrainingError(self._advice(folder))
        self._looks = found.looks
        return True

    def _advice(self, folder: Path) -> str:
        dataset_id = self.run.request.dataset_id
        return (
            f"the dataset {dataset_id} at {folder} has changed since it was registered: run `reflex datasets register "
            f"{shlex.quote(str(folder))}` and `reflex datasets validate {dataset_id}` again, and start another run"
        )
