"""Robots made of a command that misbehaves, and whether anything of it is left on this machine."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from reflex.connector import Connector
from reflex_runner.connectors.build import build_connector

__all__ = ["LONG_S", "MISBEHAVING", "journal_of", "left_behind", "robot_that"]

MISBEHAVING: Final = Path(__file__).with_name("misbehaving.py")
LONG_S: Final = 60.0
"""For what is in time; only what hangs has less."""


def robot_that(what: str, folder: Path, *, persistent: bool, **settings: Any) -> Connector:
    """Its commands write what they are asked into a journal in the folder."""
    command = [sys.executable, "-I", "-S", str(MISBEHAVING), what, str(folder / "journal")]
    stop = [*command[:4], "well", str(folder / "journal")]
    given = {"observe": command, "apply": command, "safe_stop": stop, "persistent": persistent}
    return build_connector("subprocess", {**given, "command_timeout_s": LONG_S, **settings}, folder=folder)


def journal_of(folder: Path) -> list[dict[str, Any]]:
    journal = folder / "journal"
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def left_behind(word: Path | str) -> list[int]:
    """Processes that name the folder, or any other word, in their arguments, whatever session they are in."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and str(word).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found
