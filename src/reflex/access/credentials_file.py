"""The credentials file of `reflex login`: one key and its control plane's URL, readable by its owner alone.

$REFLEX_CONFIG_FILE, else $REFLEX_CONFIG_DIR/credentials.json, else ~/.config/reflex/credentials.json
{"apiKey": "rfx_...", "backendUrl": "http://127.0.0.1:8100"}
"""

from __future__ import annotations

import json
import os
import shlex
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.durable_files import take_name
from reflex.errors import SetupError

__all__ = ["Credentials", "credentials_path", "forget_credentials", "read_credentials", "write_credentials"]

FILE_NAME: Final = "credentials.json"
FOLDER_MODE: Final = 0o700
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the file holds; either may be missing."""

    api_key: str | None = field(default=None, repr=False)
    backend_url: str | None = None


def credentials_path(environment: Mapping[str, str]) -> Path:
    """Where the file lies, or would; an empty variable counts as none."""
    home = Path(environment.get("HOME") or "~").expanduser()
    if environment.get("REFLEX_CONFIG_FILE"):
        return _under(home, environment["REFLEX_CONFIG_FILE"])
    if environment.get("REFLEX_CONFIG_DIR"):
        return _under(home, environment["REFLEX_CONFIG_DIR"]) / FILE_NAME
    return home / ".config" / "reflex" / FILE_NAME


def read_credentials(path: Path) -> Credentials | None:
    """What it holds, None when it is not there. `SetupError` when others may read it, or it is no such file."""
    try:
        data = _read_private(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SetupError(f"the credentials file {path} cannot be read ({reason})") from exc
    try:
        document = json.loads(data)
        values = [document.get(name) for name in ("apiKey", "backendUrl")]
        if not all(value is None or isinstance(value, str) for value in values):
            raise ValueError("apiKey and backendUrl are text")
    except (AttributeError, ValueError, RecursionError):
        # Without the cause: it would repeat the text, and the key with it.
        raise SetupError(
            f"the credentials file {path} is not what `reflex login` writes; write it anew: "
            "reflex login --convex-url URL"
        ) from None
    return Credentials(*values)


def write_credentials(path: Path, credentials: Credentials) -> None:
    """Put them in place of what was there: whole or not at all, a link is replaced and not followed."""
    document = {"apiKey": credentials.api_key, "backendUrl": credentials.backend_url}
    content = json.dumps({name: value for name, value in document.items() if value is not None}, indent=2) + "\n"
    try:
        _make_private_folder(path.parent)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600 from the start
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode())
            take_name(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SetupError(f"the credentials file {path} cannot be written ({reason})") from exc


def forget_credentials(path: Path) -> bool:
    """Remove the file; False when there was none."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as exc:
        raise SetupError(f"the credentials file {path} cannot be removed ({exc.strerror})") from exc
    return True


def _under(home: Path, written: str) -> Path:
    return home / written.removeprefix("~/") if written.startswith("~/") else Path(written)


def _read_private(path: Path) -> bytes:
    # Without O_NONBLOCK a pipe that nobody writes to would hold a command up for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SetupError(f"the credentials file {path} is no file, but a pipe or a device")
        if mode & OTHERS:
            command = shlex.join(["chmod", "600", str(path)])
            raise SetupError(f"others can read or write the credentials file {path}; run: {command}")
        return file.read(MAX_BYTES)


def _make_private_folder(folder: Path) -> None:
    if not folder.exists():
        _make_private_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
