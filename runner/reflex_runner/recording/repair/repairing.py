"""Recordings that a killed run left: each open episode is finished with what is whole of it, or taken away."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from reflex.errors import SetupError
from reflex.file_lock import file_lock, is_locked_now
from reflex.wording.install import install_line
from reflex_runner.recording.episodes import EPISODES_FILE, append_line
from reflex_runner.recording.formats.files import OPEN, seal
from reflex_runner.recording.part import HEADER_FILE, LOCK_FILE
from reflex_runner.recording.repair.steps import Step, removal
from reflex_runner.recording.repair.texts import INTERRUPTED, episode_steps, final_of, picture_steps, whole_lines

__all__ = ["Repair", "find_recordings", "repair_recordings", "told"]

EPISODE: Final = re.compile(r"episode-(\d{6,})")
FOLDERS: Final = ("jsonl", "images", "mcap", "rerun")
NEEDED: Final[Mapping[str, tuple[str, str, str]]] = {
    "mcap": ("reflex_runner.recording.repair.mcap_files", "mcap_steps", "mcap"),
    "lerobot": ("reflex_runner.recording.repair.datasets", "dataset_steps", "datasets"),
}
"""By folder: module, function and extra of what is not Python's own."""


@dataclass
class Repair:
    """What was found, and done unless it was a dry run."""

    recordings: int = 0
    steps: list[Step] = field(default_factory=list)
    being_recorded: list[Path] = field(default_factory=list)
    """Left alone: a run records into them now."""


def find_recordings(folder: Path) -> list[Path]:
    """The folder itself, if it is a recording, else those in it; `SetupError` when there is none."""
    if not folder.is_dir():
        raise SetupError(f"{folder} is no folder; give a recording, or the folder that recordings lie in")
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [path for path in candidates if (path / HEADER_FILE).is_file() or (path / LOCK_FILE).is_file()]
    if not found:
        raise SetupError(f"{folder} holds no recording of `reflex connect`; give one, or the folder that they lie in")
    return found


def repair_recordings(folder: Path, *, dry_run: bool = False) -> Repair:
    """Finish or take away what is open in every recording that no run is writing now; again changes nothing."""
    repair = Repair()
    for recording in find_recordings(folder):
        repair.recordings += 1
        _refuse_links(recording)
        if _is_being_recorded(recording / LOCK_FILE):
            repair.being_recorded.append(recording)
        elif dry_run:
            repair.steps += _steps(recording)
        else:
            repair.steps += _repair_one(recording)
    return repair


def _refuse_links(recording: Path) -> None:
    """What is cut short or taken away here must not lie elsewhere: no run of ours writes a link."""
    for folder, folders, files in os.walk(recording):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                raise SetupError(f"{path} is a link, which no recording has; take it away, then repair {recording}")


def _is_being_recorded(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not is_locked_now(descriptor)
    finally:
        os.close(descriptor)


def _repair_one(recording: Path) -> list[Step]:
    done = []
    try:
        with file_lock(recording / LOCK_FILE, "another repair", is_removed=True):
            for step in _steps(recording):
                step.do()
                done.append(step)
        if not (recording / HEADER_FILE).exists():
            recording.rmdir()
    except OSError as exc:
        raise SetupError(
            f"{recording} could not be repaired ({exc.strerror or exc}); put that right, and run it again"
        ) from exc
    return done


def _steps(recording: Path) -> Iterator[Step]:
    """In their order; what a step does is there for those after it."""
    if not (recording / HEADER_FILE).exists():
        yield from (removal(path, "the run had not begun") for path in recording.iterdir() if path.name != LOCK_FILE)
        return
    finished = []
    for step in _format_steps(recording):
        finished += [step.path.name] if step.did == "finished" else []
        yield step
    yield from _list_steps(recording, finished)


def _format_steps(recording: Path) -> Iterator[Step]:
    yield from (removal(file, "was being written") for file in sorted(recording.glob(".*.partial")))
    yield from picture_steps(recording / "images")
    yield from episode_steps(recording / "jsonl")
    for name, (module, function, extra) in NEEDED.items():
        if (recording / name).is_dir():
            yield from _load(name, module, function, extra)(recording / name)
    yield from _rerun_steps(recording / "rerun")


def _load(name: str, module: str, function: str, extra: str) -> Any:  # noqa: ANN401  # a function known by name
    try:
        return getattr(importlib.import_module(module), function)
    except ImportError as exc:
        raise SetupError(
            f"to repair {name} recordings, {exc.name or exc} is missing; run: {install_line(extra)}"
        ) from exc


def _rerun_steps(folder: Path) -> Iterator[Step]:
    """Rerun opens what is whole of a file that was cut; only its index is missing."""
    for file in sorted(folder.glob(f"*{OPEN}")):
        if final_of(file).exists() or not file.stat().st_size:
            yield removal(file, "nothing was in it")
        else:
            yield Step(file, "finished", "Rerun shows what is whole of it", partial(seal, final_of(file)))


def _list_steps(recording: Path, finished: Iterable[str]) -> Iterator[Step]:
    """`episodes.jsonl` names every episode that is there."""
    file = recording / EPISODES_FILE
    listed, end = _listed(file)
    if file.exists() and file.stat().st_size > end:
        yield Step(file, "finished", "its last line was cut", partial(os.truncate, file, end))
    for number in sorted(_episodes_of(recording, finished) - listed):
        line = {"episode": number, "success": INTERRUPTED.success, "reason": INTERRUPTED.reason}
        yield Step(file, "finished", f"episode {number} was interrupted", partial(append_line, file, line))


def _listed(file: Path) -> tuple[set[int], int]:
    if not file.exists():
        return set(), 0
    end = whole_lines(file)[1]
    lines = [json.loads(line) for line in file.read_bytes()[:end].splitlines()]
    return {line["episode"] for line in lines if isinstance(line.get("episode"), int)}, end


def _episodes_of(recording: Path, finished: Iterable[str]) -> set[int]:
    """Those that are whole, and those that were finished here, or will be."""
    names = [path.name for folder in FOLDERS for path in (recording / folder).glob("*") if path.suffix != OPEN]
    numbers = {int(found[1]) for name in [*names, *finished] if (found := EPISODE.match(name))}
    if (recording / "lerobot").is_dir():
        numbers |= _load("lerobot", NEEDED["lerobot"][0], "episodes_in", "datasets")(recording / "lerobot")
    return numbers


def told(repair: Repair, folder: Path, *, dry_run: bool) -> dict[str, Any]:
    """As one JSON value."""
    return {
        "folder": str(folder),
        "dry_run": dry_run,
        "recordings": repair.recordings,
        "steps": [_step_told(step) for step in repair.steps],
        "being_recorded": [str(path) for path in repair.being_recorded],
    }


def _step_told(step: Step) -> Mapping[str, str]:
    return {"path": str(step.path), "did": step.did, "detail": step.detail}
