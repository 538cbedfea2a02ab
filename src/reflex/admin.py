"""Where a running server leaves the address and token of its admin routes, for commands on the same machine."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.errors import SetupError

__all__ = ["DEFAULT_PORT", "AdminAddress", "admin_file", "forget_admin", "publish_admin", "read_admin"]

DEFAULT_PORT: Final = 8090


@dataclass(frozen=True, slots=True)
class AdminAddress:
    """How to reach the admin routes of one server."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"AdminAddress({self.url})"  # a token must not end up in a traceback


def admin_file(port: int) -> Path:
    """The file for the server whose admin port this is."""
    return _folder() / f"admin-{port}.json"


def publish_admin(port: int, token: str) -> Path:
    """Write the file, readable by this user alone; `SetupError` where that cannot be."""
    folder = _folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_is_ours(folder)
        path = folder / f"admin-{port}.json"
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.unlink(missing_ok=True)
        # A file that is there already may be open elsewhere, from when the folder was: the token goes into a new one.
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"url": _url(port), "token": token, "pid": os.getpid()}, file)
        scratch.replace(path)
    except OSError as exc:
        raise SetupError(
            f"{folder} cannot be written ({exc.strerror}), where the admin token goes; set XDG_RUNTIME_DIR to a folder "
            "of this user"
        ) from exc
    return path


def forget_admin(port: int) -> None:
    """Remove the file of a server that stops; another server's on the same port stays."""
    path = admin_file(port)
    try:
        if json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid():
            path.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        return


def read_admin(port: int) -> AdminAddress:
    """The address and token of the server with this admin port, or `SetupError` with what to do."""
    path = admin_file(port)
    try:
        _check_owner(path.parent, stat.S_ISDIR)
        _check_owner(path, stat.S_ISREG)
        found = json.loads(path.read_text(encoding="utf-8"))
        address = AdminAddress(found["url"], found["token"])
    except FileNotFoundError:
        raise SetupError(
            f"no server of this user with the admin port {port} runs here; start one with --policy-a and --policy-b, "
            "or name its port with --admin-port"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SetupError(f"{path} cannot be read; start the server again") from exc
    if address.url != _url(port):
        raise SetupError(f"{path} names another address than {_url(port)}; remove it, and start the server again")
    return address


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "reflex"
    return Path(tempfile.gettempdir()) / f"reflex-{os.getuid()}"


def _check_is_ours(folder: Path) -> None:
    """In a folder that others can write, somebody else may have been there first."""
    _check_owner(folder, stat.S_ISDIR)
    folder.chmod(0o700)  # ours, but perhaps made for something that may be seen


def _check_owner(path: Path, is_kind: Callable[[int], bool]) -> None:
    found = path.lstat()
    if not is_kind(found.st_mode) or found.st_uid != os.getuid():
        raise SetupError(f"{path} belongs to somebody else; remove it, or set XDG_RUNTIME_DIR")
