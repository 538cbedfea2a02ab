"""The trainer's own environment: LeRobot 0.6.1 in a Python 3.12, which Reflex never imports."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.durable_files import replace_file
from reflex.file_lock import file_lock
from reflex.training.request import FAMILIES, Family
from reflex_learning.errors import TrainingError
from reflex_learning.training.settings import Device

__all__ = ["GIGABYTES", "TrainerEnvironment", "find_python", "read_environment", "set_up"]

LEROBOT: Final = "0.6.1"
EXTRAS: Final[dict[Family, tuple[str, ...]]] = {
    "act": (), "diffusion": ("diffusion",), "smolvla": ("smolvla", "peft"), "pi0": ("pi", "peft"),
    "pi05": ("pi", "peft"),
}  # fmt: skip
GIGABYTES: Final[dict[Device, float]] = {"cuda": 5.7, "cpu": 1.7}
"""Four of them are CUDA's libraries."""
PYTHONS: Final = ("3.12", "3.13")
RECORD: Final = "reflex-trainer.json"
"""Written last: an environment without it is not whole."""
SUITS: Final = f"import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] not in {PYTHONS!r})"
LOOKS_S: Final = 30.0
Run = Callable[[Sequence[str]], int]
"""A program in the foreground, whose words people see; its exit code."""


@dataclass(frozen=True, slots=True)
class TrainerEnvironment:
    """One that is whole."""

    python: Path
    device: Device
    families: tuple[Family, ...]


def read_environment(folder: Path) -> TrainerEnvironment:
    """`TrainingError` says how one is made."""
    try:
        said = json.loads((folder / RECORD).read_bytes())
        families = tuple(family for family in FAMILIES if family in said["families"])
        device: Device = "cuda" if said["device"] == "cuda" else "cpu"
    except (OSError, ValueError, TypeError, KeyError) as exc:
        words = f"{folder} holds no trainer that is whole: run `reflex training setup` first, which can be run again"
        raise TrainingError(words) from exc
    return TrainerEnvironment(folder / "bin" / "python", device, families)


def set_up(folder: Path, python: Path, device: Device, families: Iterable[Family], run: Run) -> TrainerEnvironment:
    """Make it, or finish one that was interrupted: what is installed already is not installed again."""
    wanted = tuple(family for family in FAMILIES if family in set(families) | {"act"})
    _require_room(folder, device)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / ".setup.lock", "another setup"):
        (folder / RECORD).unlink(missing_ok=True)
        if not _suits(folder / "bin" / "python"):
            _done(run([str(python), "-m", "venv", "--clear", str(folder)]), "the environment could not be made")
            (folder / ".setup.lock").touch()
        extras = ",".join(dict.fromkeys(("training", *(each for family in wanted for each in EXTRAS[family]))))
        _done(run(_install(folder, device, f"lerobot[{extras}]=={LEROBOT}")), "LeRobot could not be installed")
        _done(run([str(folder / "bin" / "python"), "-c", "import lerobot.scripts.lerobot_train"]), "LeRobot is broken")
        replace_file(folder / RECORD, json.dumps({"lerobot": LEROBOT, "device": device, "families": wanted}).encode())
    return read_environment(folder)


def find_python(given: Path | None = None) -> Path:
    """A Python of a version that LeRobot runs in; a name on PATH may be a shim without anything behind it."""
    for candidate in [given] if given is not None else _candidates():
        if _suits(candidate):
            return candidate
    where = "none of the places where one is looked for" if given is None else str(given)
    raise TrainingError(
        f"LeRobot {LEROBOT} needs Python {' or '.join(PYTHONS)} with its venv, which is {where}: install it, as by "
        "`uv python install 3.12` or the package python3.12-venv of your system, and run this again; --python names one"
    )


def _candidates() -> Iterator[Path]:
    for version in PYTHONS:
        if (found := shutil.which(f"python{version}")) is not None:
            yield Path(found)
        for place in (".pyenv/versions", ".local/share/uv/python"):
            yield from sorted((Path.home() / place).glob(f"*{version}.*/bin/python{version}"))


def _suits(python: Path) -> bool:
    try:
        asked = subprocess.run([str(python), "-I", "-c", SUITS], capture_output=True, timeout=LOOKS_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _install(folder: Path, device: Device, wanted: str) -> list[str]:
    """Only uv knows where PyTorch without CUDA lies; pip takes the other one, which trains on a CPU as well."""
    python, uv = str(folder / "bin" / "python"), shutil.which("uv")
    if uv is not None:
        backend = ["--torch-backend", "cpu"] if device == "cpu" else []
        return [uv, "pip", "install", "--python", python, *backend, wanted]
    return [python, "-m", "pip", "install", "--disable-pip-version-check", wanted]


def _require_room(folder: Path, device: Device) -> None:
    home = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(home).free / 1e9
    if free < GIGABYTES[device] and not (folder / RECORD).is_file():
        raise TrainingError(
            f"the trainer takes {GIGABYTES[device]:g} GB, and {home} has {free:.1f} GB left: make room, or name "
            "another folder with --folder"
        )


def _done(code: int, problem: str) -> None:
    if code != 0:
        raise TrainingError(f"{problem} (exit code {code}); what was installed stays: run this again once it is mended")
