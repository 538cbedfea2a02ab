"""Where the key comes from: never from config.json or the command line, both of which LeRobot prints and stores."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reflex.errors import SetupError

__all__ = ["KEY_VARIABLE", "key_source"]

KEY_VARIABLE: Final = "REFLEX_API_KEY"


def key_source(file: str | None) -> str | Callable[[], str] | None:
    """The key of the environment; or a file's, read for each request: a session's credential is renewed in it."""
    if file is None:
        return os.environ.get(KEY_VARIABLE) or None
    path = Path(file).expanduser()
    _read(path)
    return lambda: _read(path)


def _read(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SetupError(f"api_key_file {path} cannot be read: {exc}") from exc
    if not key:
        raise SetupError(f"api_key_file {path} is empty; put the key of `reflex keys new` into it")
    return key
