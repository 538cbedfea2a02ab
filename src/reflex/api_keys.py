"""API keys: how one is made, how it is stored, and the file that holds them.

A key is `rfx_`, 30 random base62 characters (178 bits) and 6 of their CRC-32, by which a mistyped key is told from an
unknown one without asking a server. Stored is its HMAC-SHA256 under a fixed label, never the key. No salt or slow hash:
they protect what people choose, and nobody guesses 178 bits. The label keeps the stored value useless elsewhere.

A file has one entry a line, `NAME HASH [limit=REQUESTS_PER_SECOND]`; `#` begins a comment.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import shlex
import stat
import string
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.errors import SetupError

__all__ = [
    "KEY_CHARACTERS",
    "KeyEntry",
    "add_entry",
    "check_name",
    "digest_of",
    "is_well_formed",
    "new_key",
    "parse_key_file",
    "read_key_file",
]

KEY_PREFIX: Final = "rfx_"
RANDOM_CHARACTERS: Final = 30
CHECKSUM_CHARACTERS: Final = 6
"""62^6 is more than 2^32."""
KEY_CHARACTERS: Final = len(KEY_PREFIX) + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
LABEL: Final = b"reflex api key 1"
HASH_PREFIX: Final = "hmac-sha256:"
MAX_FILE_BYTES: Final = 256 * 1024
"""Some two thousand keys; a server reads the file twice a second."""
MAX_LIMIT_PER_S: Final = 1_000_000.0
FILE_MODE: Final = 0o600

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
ENTRY: Final = re.compile(
    rf"(?P<name>{NAME.pattern})[ \t]+{HASH_PREFIX}(?P<hash>[0-9a-f]{{64}})"
    r"(?:[ \t]+limit=(?P<limit>\d{1,7}(?:\.\d{1,6})?))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key as a server knows it. Two may have the same name: the old and the new one while a key is replaced."""

    name: str
    digest: bytes
    limit_per_s: float | None = None

    def as_line(self) -> str:
        limit = "" if self.limit_per_s is None else f" limit={self.limit_per_s:.6f}".rstrip("0").rstrip(".")
        return f"{self.name} {HASH_PREFIX}{self.digest.hex()}{limit}\n"


def new_key() -> str:
    random = "".join(secrets.choice(BASE62) for _ in range(RANDOM_CHARACTERS))
    return KEY_PREFIX + random + _checksum(random)


def is_well_formed(key: str) -> bool:
    """Whether it can be a key at all; False for one that was mistyped or cut."""
    random = key[len(KEY_PREFIX) : -CHECKSUM_CHARACTERS]
    is_long_enough = len(key) == KEY_CHARACTERS and key.isascii()
    return is_long_enough and key.startswith(KEY_PREFIX) and key.endswith(_checksum(random))


def digest_of(key: bytes) -> bytes:
    """What is stored of a key, and looked up."""
    return hmac.digest(LABEL, key, "sha256")


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise SetupError(
            "the name of a key has 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit"
        )


def parse_key_file(data: bytes) -> tuple[KeyEntry, ...]:
    """Read the text of a key file. `SetupError` names the line, and repeats nothing of it: it might be a key."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise SetupError("the key file is no text in UTF-8") from None
    entries: dict[bytes, KeyEntry] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        entry = _parse_entry(text, number)
        if entry.digest in entries:
            raise SetupError(f"line {number} of the key file holds a key that is there already; remove one of them")
        entries[entry.digest] = entry
    return tuple(entries.values())


def read_key_file(path: Path) -> bytes:
    """The bytes of a key file; raises `OSError`, or `SetupError` for what nobody should take keys from."""
    # Without O_NONBLOCK a pipe that nobody writes to would hold a server up for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SetupError(f"the key file {path} is no file, but a pipe, a device or a folder")
        if mode & stat.S_IWOTH:
            raise SetupError(f"every user may write the key file, and add a key; run: chmod o-w {path}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise SetupError(f"the key file {path} is longer than {MAX_FILE_BYTES // 1024} KiB; is it the right file?")
    return data


def add_entry(path: Path, entry: KeyEntry) -> None:
    """Append an entry. The file is its owner's alone, or becomes that where everybody might read it.

    `SetupError` when it cannot be written, or is no key file.
    """
    try:
        before = _content_of(path)
        _check_is_key_file(before, path)
        separator = "\n" if before and not before.endswith(b"\n") else ""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            if os.fstat(descriptor).st_mode & stat.S_IRWXO:
                os.fchmod(descriptor, FILE_MODE)
            file.write(f"{separator}{entry.as_line()}".encode())
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError as exc:
        make = shlex.join(["mkdir", "-p", str(path.parent)])
        raise SetupError(f"cannot write the key file {path}: make the folder first: {make}") from exc
    except OSError as exc:
        raise SetupError(f"cannot write the key file {path}: {exc.strerror}") from exc


def _content_of(path: Path) -> bytes:
    if not path.exists():
        return b""
    try:
        return read_key_file(path)
    except SetupError as exc:
        raise SetupError(f"cannot write the key file {path}: {exc}") from exc


def _check_is_key_file(data: bytes, path: Path) -> None:
    try:
        parse_key_file(data)
    except SetupError as exc:
        raise SetupError(f"{path}: {exc}") from exc


def _parse_entry(text: str, number: int) -> KeyEntry:
    found = ENTRY.fullmatch(text)
    if found is None:
        raise SetupError(
            f"line {number} of the key file is no entry; `reflex keys new` writes them as "
            "NAME hmac-sha256:HASH [limit=REQUESTS_PER_SECOND]"
        )
    limit_per_s = None if found["limit"] is None else float(found["limit"])
    if limit_per_s is not None and not 0 < limit_per_s <= MAX_LIMIT_PER_S:
        raise SetupError(f"line {number} of the key file: limit must be above 0 and at most {MAX_LIMIT_PER_S:.0f}")
    return KeyEntry(found["name"], bytes.fromhex(found["hash"]), limit_per_s)


def _checksum(random: str) -> str:
    number = zlib.crc32(random.encode())
    digits = []
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
