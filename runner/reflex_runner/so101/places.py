"""Where an arm's port and calibration are looked for, as the environment has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex_runner.so101.errors import CalibrationError

__all__ = ["PORT_VARIABLE", "Places"]

PORT_VARIABLE: Final = "REFLEX_SO101_PORT"
FOLDERS: Final = ("so_follower", "so101_follower")
"""LeRobot's name for the arm since 0.5, and before it."""


@dataclass(frozen=True, slots=True)
class Places:
    """`port` is None where the environment names none."""

    port: str | None
    calibrations: Path

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> Places:
        """As LeRobot finds them: its own variables, then those of Hugging Face's cache."""
        given = os.environ if environment is None else environment
        cache = Path(given.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
        home = Path(given.get("HF_LEROBOT_HOME") or Path(given.get("HF_HOME") or cache) / "lerobot")
        calibrations = Path(given.get("HF_LEROBOT_CALIBRATION") or home / "calibration")
        return cls(given.get(PORT_VARIABLE) or None, calibrations.expanduser())

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self.calibrations / "robots" / name for name in FOLDERS)

    def file_for(self, name: str) -> Path:
        """Where the calibration of the arm of this name is written, or lies already."""
        return next((file for file in self._files(name)), self.folders[0] / f"{name}.json")

    def calibration(self, name: str | None) -> Path:
        """The file of the arm of this name, or of the only one; `CalibrationError` names those that there are."""
        files = list(self._files(name))
        names = sorted({file.stem for file in files})
        if len(names) == 1:
            return files[0]
        if names:
            raise CalibrationError(
                f"there are calibrations of {len(names)} arms: give `id:` as one of {', '.join(names)}"
            )
        looked = " and ".join(str(folder) for folder in self.folders)
        what = "no arm is calibrated" if name is None else f"no arm called {name} is calibrated"
        raise CalibrationError(
            f"{what}: {looked} hold no such file; run `reflex so101 calibrate --id {name or 'NAME'}`"
        )

    def _files(self, name: str | None) -> list[Path]:
        return [
            file
            for folder in self.folders
            for file in sorted(folder.glob(f"{'*' if name is None else _plain(name)}.json"))
        ]


def _plain(name: str) -> str:
    """A name that leads to another folder, or to several files, is none."""
    if not name or set(name) & set("/\\*?[]") or name.startswith("."):
        raise CalibrationError(f"an arm cannot be called {name!r}: use letters, digits, - and _")
    return name
