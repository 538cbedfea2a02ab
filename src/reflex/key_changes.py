"""Taking keys out of a key file, and one change at a time: a file is replaced whole, and no other line is touched."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reflex.api_keys import KeyEntry, parse_key_file, read_key_file
from reflex.durable_files import partial_of, take_name
from reflex.errors import SetupError
from reflex.file_lock import file_lock

__all__ = ["changing_alone", "read_entries", "revoke"]

LOCK_TIMEOUT_S: Final = 10.0


@contextlib.contextmanager
def changing_alone(path: Path) -> Iterator[None]:
    """Keep other `reflex keys` from changing the file meanwhile: what they add must not be lost."""
    with contextlib.ExitStack() as held:
        # Who may only append to the file cannot lock it, and need not: whoever replaces it can.
        with contextlib.suppress(OSError):
            lock = path.with_name(f".{path.name}.lock")
            held.enter_context(file_lock(lock, "another `reflex keys`", timeout_s=LOCK_TIMEOUT_S, is_removed=True))
        yield


def read_entries(path: Path) -> tuple[KeyEntry, ...]:
    """The keys of the file; `SetupError` names it, and the line that is no entry."""
    return _parsed(_read(path), path)


def revoke(path: Path, name: str, *, keep_newest: bool = False) -> int:
    """Take back every key of that name, all but the last one with `keep_newest`; says how many. `SetupError` for none.

    Comments and other lines stay as they are, and so do the file's owner and mode.
    """
    path = path.resolve()
    with changing_alone(path):
        data = _read(path)
        entries = [entry for entry in _parsed(data, path) if entry.name == name]
        if not entries:
            raise SetupError(f"{path} has no key of {name}; `reflex keys list` shows those that it has")
        revoked = entries[:-1] if keep_newest else entries
        digests = {entry.digest.hex() for entry in revoked}
        # Lines as the parser sees them, who takes more than newlines for their end.
        lines = [line for line in data.decode("utf-8").splitlines(keepends=True) if not _holds(line, digests)]
        _replace(path, "".join(lines).encode())
    return len(revoked)


def _holds(line: str, digests: set[str]) -> bool:
    entry = line.partition("#")[0]
    return any(digest in entry for digest in digests)


def _read(path: Path) -> bytes:
    try:
        return read_key_file(path)
    except OSError as exc:
        raise SetupError(f"cannot read the key file {path}: {exc.strerror}") from exc


def _parsed(data: bytes, path: Path) -> tuple[KeyEntry, ...]:
    try:
        return parse_key_file(data)
    except SetupError as exc:
        raise SetupError(f"{path}: {exc}") from exc


def _replace(path: Path, content: bytes) -> None:
    before, partial = path.stat(), partial_of(path)
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(PermissionError):  # the owner is ours already, unless root does this
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            file.write(content)
        take_name(partial, path)
    except OSError as exc:
        raise SetupError(f"cannot replace the key file {path}: {exc.strerror}") from exc
