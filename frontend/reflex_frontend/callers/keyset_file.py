"""The file of `--session-key`: the public keys whose signatures count, where no control plane says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex.signed.signing import Keyset
from reflex.wording.install import install_line
from reflex_frontend.callers.watched_file import FileWords, WatchedFile

__all__ = ["KeysetFile", "require_signatures"]

WORDS: Final = FileWords("session keys", "the keyset file", "--session-key", "`curl CONTROL_PLANE/v1/keyset -o FILE`")


class KeysetFile:
    """A keyset in a file, read again when it changes. While it is missing or damaged, its last keys hold on."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.keyset: Keyset
        self.file = WatchedFile(path, WORDS, self._replace, now)

    @classmethod
    def read(cls, path: Path, now: Callable[[], float]) -> KeysetFile:
        """`SetupError` when it cannot be read or is no keyset."""
        keyset_file = cls(path, now)
        keyset_file.file.read()
        return keyset_file

    @property
    def stale(self) -> str | None:
        """Why it was not read again; None while all is well."""
        return self.file.stale

    @property
    def organisation_id(self) -> str | None:
        """A file of public keys does not say whose sessions they sign."""
        return None

    @property
    def is_catching_up(self) -> bool:
        """There is nobody who would tell of ends."""
        return False

    async def renew(self) -> None:
        """It is looked at twice a second as it is."""

    def _replace(self, content: bytes) -> int:
        self.keyset = Keyset.from_json(content)
        return len(self.keyset.keys)


def require_signatures() -> None:
    """`SetupError` when the package that checks them is not installed."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401 - only whether it is there
    except ModuleNotFoundError as exc:
        raise SetupError(
            f"sessions need the package cryptography, which is not installed; run: {install_line('serve')}"
        ) from exc
