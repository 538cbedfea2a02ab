"""Work in stages, each done once: what was done is remembered in the folder, and an interrupted one begins anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflex.durable_files import replace_file
from reflex_learning.errors import TrainingError

__all__ = ["Stages"]


@dataclass(frozen=True)
class Stages:
    """`folder` belongs to one recipe; `say` tells people which stage it is."""

    folder: Path
    say: Callable[[str], None]

    def begin(self, recipe: Mapping[str, Any]) -> None:
        """`TrainingError` where another recipe was begun there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known = self._read("recipe")
        if known is not None and known != dict(recipe):
            words = f"{self.folder} holds what another recipe has made: name another folder with --folder"
            raise TrainingError(f"{words}, or remove that one")
        self._write("recipe", dict(recipe))

    def done(self, name: str, title: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the work answered, now or when it was done; with the `seconds` that it took."""
        known = self._read(name)
        if known is not None:
            self.say(f"{title}: done before, in {known['seconds']:.0f} s")
            return known
        self.say(f"{title} ...")
        began = time.monotonic()
        found = {**work(), "seconds": round(time.monotonic() - began, 1)}
        self._write(name, found)
        self.say(f"{title}: done in {found['seconds']:.0f} s")
        return found

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as exc:
            raise TrainingError(f"{self.folder / f'{name}.json'} is no JSON: remove it, and run this again") from exc
        return found if isinstance(found, dict) else None

    def _write(self, name: str, found: Mapping[str, Any]) -> None:
        replace_file(self.folder / f"{name}.json", json.dumps(found, indent=1).encode())
