"""From `hardware` in robot.yaml to a robot: which kinds there are, and who makes each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reflex.connector import Connector
from reflex.errors import SetupError
from reflex_runner.connectors.nearest import nearest

__all__ = ["KINDS", "build_connector"]

KINDS: Final[Mapping[str, str]] = {
    "sim": "reflex_runner.connectors.sim",
    "so101": "reflex_runner.connectors.so101",
    "subprocess": "reflex_runner.connectors.subprocess",
}
"""By the module that builds it."""
LEROBOT: Final = "lerobot"
FORMS: Final = (*KINDS, f"{LEROBOT}:<robot type>", "module:Class")
IN_A_FOLDER: Final = ("subprocess",)
"""Kinds whose settings may name files beside robot.yaml."""


def build_connector(kind: str, cfg: Mapping[str, Any], *, folder: Path | None = None) -> Connector:
    """The robot of this kind, not started yet. Relative paths, and a `module:Class`, are looked up from `folder`.

    `SetupError` says what is wrong in the settings.
    """
    folder = Path.cwd() if folder is None else folder.resolve()
    name, has_colon, rest = kind.partition(":")
    if not has_colon:
        return _built_in(kind, cfg, folder)
    if name == LEROBOT:
        return _from("reflex_runner.connectors.lerobot", rest, cfg, folder)
    return _from("reflex_runner.connectors.own", kind, cfg, folder)


def _built_in(kind: str, cfg: Mapping[str, Any], folder: Path) -> Connector:
    if kind not in KINDS:
        raise SetupError(f"hardware.kind: no connector is called {kind!r}{_meant(kind)}")
    return _from(KINDS[kind], cfg, folder) if kind in IN_A_FOLDER else _from(KINDS[kind], cfg)


def _meant(kind: str) -> str:
    known = f"; it is one of {', '.join(FORMS)}"
    if kind == LEROBOT:
        return f"{known}; write the type of the robot behind it, as lerobot:so101_follower"
    return f"{known}{nearest(kind, (*KINDS, LEROBOT))}"


def _from(module: str, *arguments: object) -> Connector:
    """Imported only now: what a kind needs is an extra of its own."""
    made: Connector = importlib.import_module(module).build(*arguments)
    return made
