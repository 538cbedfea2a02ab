"""JSON lines and pictures of an episode that was open: the last line or picture may be cut, all else is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from reflex_runner.recording.formats.files import OPEN, seal
from reflex_runner.recording.formats.interface import EpisodeEnd
from reflex_runner.recording.formats.jsonl import end_line
from reflex_runner.recording.lines import to_line
from reflex_runner.recording.repair.steps import Step, removal

__all__ = ["INTERRUPTED", "episode_steps", "final_of", "picture_steps", "whole_lines"]

INTERRUPTED: Final = EpisodeEnd(0.0, None, "interrupted", {})
HEAD_LINES: Final = 2
"""The header, and that the episode began."""
ENDINGS: Final = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}


def final_of(open_path: Path) -> Path:
    """What `episode-000003.jsonl.open` is called when it is whole."""
    return open_path.with_name(open_path.name.removesuffix(OPEN))


def episode_steps(folder: Path) -> Iterator[Step]:
    """Of the files `jsonl/*.open`."""
    for file in sorted(folder.glob(f"*{OPEN}")):
        if final_of(file).exists():
            yield removal(file, "is there whole as well")
        elif len(whole_lines(file)[0]) <= HEAD_LINES:
            yield removal(file, "nothing had happened in it")
        else:
            yield Step(file, "finished", "every whole line is kept", partial(_finish, final_of(file)))


def picture_steps(folder: Path) -> Iterator[Step]:
    """Of the folders `images/*.open`."""
    for pictures in sorted(folder.glob(f"*{OPEN}")):
        whole = [file for file in pictures.glob("*/*") if not _is_cut(file)]
        if final_of(pictures).exists() or not whole:
            yield removal(pictures, "no whole picture was in it")
        else:
            yield Step(pictures, "finished", f"{len(whole)} whole pictures are kept", partial(_keep, pictures))


def whole_lines(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The first and the last lines that are whole, few of them, and the bytes up to the end of the last."""
    first: list[dict[str, Any]] = []
    last: dict[str, Any] | None = None
    end = 0
    with file.open("rb") as stream:
        for line in stream:
            told = _parsed(line)
            if told is None:
                break
            end += len(line)
            last = told
            if len(first) <= HEAD_LINES:
                first.append(told)
    return ([*first, last] if last is not None and last is not first[-1] else first), end


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _finish(path: Path) -> None:
    file = path.with_name(path.name + OPEN)
    lines, end = whole_lines(file)
    with file.open("r+b") as stream:
        stream.truncate(end)
        stream.seek(0, os.SEEK_END)
        if lines[-1].get("kind") != "end":
            stream.write(to_line(end_line(INTERRUPTED, lines[-1].get("t", 0.0))))
    seal(path)


def _keep(pictures: Path) -> None:
    for file in pictures.glob("*/*"):
        if _is_cut(file):
            file.unlink()
    seal(final_of(pictures))


def _is_cut(file: Path) -> bool:
    ending = ENDINGS.get(file.suffix)
    if ending is None:
        return False
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - len(ending)))
        return stream.read() != ending
