"""The model repository that ships with Reflex: the untrained demo policy."""

from __future__ import annotations

import shutil
from pathlib import Path

from reflex.errors import SetupError
from reflex.wording.install import reinstall_line

__all__ = ["copy_shipped", "shipped_repository"]


def shipped_repository() -> Path:
    """Beside the sources, or inside the installed package."""
    here = Path(__file__).resolve()
    for candidate in (here.parents[3] / "model_repository", here.parents[1] / "model_repository"):
        if candidate.is_dir():
            return candidate
    raise SetupError(f"the shipped model repository is missing; pass --model-repository, or run: {reinstall_line()}")


def copy_shipped(folder: Path, *, replace: bool) -> None:
    """Copy it into a folder, which is made when absent. With `replace`, over what is there by the same names.

    `SetupError` when something is and must not be replaced, or the folder cannot be written; the former before
    anything is written.
    """
    shipped = shipped_repository()
    taken = sorted(path.name for path in shipped.iterdir() if (folder / path.name).exists())
    if taken and not replace:
        raise SetupError(f"{folder} holds {', '.join(taken)} already; pass --replace, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy_contents(shipped, folder)
    except OSError as exc:
        raise SetupError(f"the demo policy cannot be copied to {folder}: {exc}") from exc


def _copy_contents(source: Path, folder: Path) -> None:
    """Modes and times stay: a mounted volume's root belongs to somebody else, whom we may write for and not change."""
    for path in sorted(source.iterdir()):
        if path.is_dir():
            (folder / path.name).mkdir(exist_ok=True)
            _copy_contents(path, folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)
