"""The formats by name. What one needs is imported when it is chosen, and said in a sentence where it is missing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.recording.facts import FormatName
from reflex_runner.recording.formats.interface import Format, Run

__all__ = ["CLASSES", "FORMATS", "begin_formats", "chosen"]

FORMATS: Final[tuple[FormatName, ...]] = get_args(FormatName)
CLASSES: Final[Mapping[FormatName, tuple[str, str]]] = {
    "jsonl": ("reflex_runner.recording.formats.jsonl", "Jsonl"),
    "images": ("reflex_runner.recording.formats.images", "Images"),
    "mcap": ("reflex_runner.recording.formats.mcap_file", "Mcap"),
    "lerobot": ("reflex_runner.recording.formats.lerobot", "Lerobot"),
    "lerobot_png": ("reflex_runner.recording.formats.lerobot", "LerobotPng"),
    "rerun": ("reflex_runner.recording.formats.rerun_file", "Rerun"),
}
EXTRAS: Final[Mapping[FormatName, str]] = {
    "mcap": "mcap",
    "lerobot": "datasets",
    "lerobot_png": "datasets",
    "rerun": "rerun",
}


def chosen(names: Sequence[str]) -> tuple[FormatName, ...]:
    """The formats of these names, each once and in the order of `FORMATS`; `jsonl` brings the pictures it refers to."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise SetupError(f"recording.formats: {unknown[0]!r} is no format; choose of {', '.join(FORMATS)}")
    if not names:
        raise SetupError(f"recording.formats: name at least one of {', '.join(FORMATS)}, or record nothing")
    if {"lerobot", "lerobot_png"} <= {*names}:
        raise SetupError("recording.formats: lerobot and lerobot_png are one dataset in two ways; choose one of them")
    wanted = {*names, "images"} if "jsonl" in names else {*names}
    return tuple(name for name in FORMATS if name in wanted)


def begin_formats(names: Sequence[FormatName], run: Run) -> dict[str, Format]:
    """One writer each; `SetupError` when a package is missing."""
    return {name: _load(name)(run) for name in names}


def _load(name: FormatName) -> Any:  # noqa: ANN401  # a class that is known by name alone
    module, kind = CLASSES[name]
    try:
        return getattr(importlib.import_module(module), kind)
    except ImportError as exc:
        if (exc.name or "").startswith("reflex") or name not in EXTRAS:
            raise
        raise SetupError(_missing(name, exc)) from exc


def _missing(name: FormatName, exc: ImportError) -> str:
    line = install_line(EXTRAS[name])
    if isinstance(exc, ModuleNotFoundError):
        return f"recordings as {name} need the package {exc.name}, which is not installed; run: {line}"
    return f"recordings as {name} cannot be made with the packages as they are installed ({exc}); run: {line}"
