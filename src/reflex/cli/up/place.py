"""Where `reflex up` keeps what lasts: the control plane's store, and two keys of it, each in a file of its own.

FOLDER/control/       the store
FOLDER/admin.key      may everything; `reflex login --api-key - < FOLDER/admin.key`
FOLDER/frontend.key   the server's own, with the scope read
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from reflex.control import ControlClient
from reflex.durable_files import partial_of, take_name
from reflex.errors import SetupError, UnauthorizedError

__all__ = ["Place", "default_folder"]


@dataclass(frozen=True)
class Place:
    """One folder, for its owner alone."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "control"

    @property
    def admin_key(self) -> Path:
        return self.folder / "admin.key"

    @property
    def frontend_key(self) -> Path:
        return self.folder / "frontend.key"

    def make(self) -> None:
        """The folder, the store, and its first key, which is on disk before the store counts on it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise SetupError(f"--data {self.folder}: the folder cannot be made ({exc.strerror})") from exc
        from reflex_control.serve import make_first_key

        make_first_key({"data": self.store}, lambda key: _write(self.admin_key, key))

    def key_of_frontend(self, url: str) -> str:
        """The one that is there, or a new one when it is not there or not accepted."""
        known = _read(self.frontend_key)
        if known is not None and _is_accepted(url, known):
            return known
        with ControlClient(url, api_key=self.admin()) as client:
            made = client.create_key(name="the server of reflex up", scopes=["read"])["key"]
        _write(self.frontend_key, made)
        return made

    def admin(self) -> str:
        """`SetupError` when the store was not made by `reflex up`."""
        found = _read(self.admin_key)
        if found is None:
            raise SetupError(
                f"{self.admin_key} is not there, and the store has its keys already: put an admin key of it into that "
                "file, or choose another folder with --data"
            )
        return found


def default_folder() -> Path:
    """`reflex/up` in the user's data folder."""
    from reflex_control.settings import default_data_folder

    return default_data_folder().parent / "up"


def _is_accepted(url: str, key: str) -> bool:
    try:
        with ControlClient(url, api_key=key) as client:
            client.whoami()
    except UnauthorizedError:
        return False
    return True


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SetupError(f"{path} cannot be read ({exc}); it should hold a key") from exc


def _write(path: Path, key: str) -> None:
    partial = partial_of(path)
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"{key}\n")
    take_name(partial, path)
