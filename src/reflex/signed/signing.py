"""Ed25519: keys that sign, and the set of public keys by which others check.

A keyset as JSON, which `GET /v1/keyset` answers and `--keyset FILE` reads:

    {"keys": [{"kid": "2026-11", "alg": "Ed25519", "x": base64url of the 32 bytes, "notAfter": null}]}

Keys are rotated with overlap: an old one stays in the set, with the moment (`notAfter`) after which it signs nothing
any more. Needs the package `cryptography`, which is imported when something is signed or checked.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import SetupError
from reflex.signed.moments import iso_of, ms_of

__all__ = ["Keyset", "PublicKey", "SigningKey", "from_base64url", "to_base64url"]

ALGORITHM: Final = "Ed25519"
KEY_BYTES: Final = 32
KEY_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the id (`kid`) under which its public one is in the keyset; `seed` is the secret."""

    kid: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_key(self.kid, self.seed)

    @classmethod
    def generate(cls, kid: str) -> SigningKey:
        """A new key of 32 random bytes."""
        return cls(kid, secrets.token_bytes(KEY_BYTES))

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)

    def as_public(self, not_after_ms: int | None = None) -> PublicKey:
        """What others are given of it."""
        return PublicKey(self.kid, self.public, not_after_ms)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a keyset; after `not_after_ms` (since 1970) it vouches for nothing new."""

    kid: str
    public: bytes
    not_after_ms: int | None = None

    def __post_init__(self) -> None:
        _check_key(self.kid, self.public)

    def as_json(self) -> dict[str, object]:
        not_after = None if self.not_after_ms is None else iso_of(self.not_after_ms)
        return {"kid": self.kid, "alg": ALGORITHM, "x": to_base64url(self.public), "notAfter": not_after}


@dataclass(frozen=True, slots=True)
class Keyset:
    """Public keys by their ids."""

    keys: Mapping[str, PublicKey]

    @classmethod
    def of(cls, keys: Iterable[PublicKey]) -> Keyset:
        """`SetupError` when two have the same id."""
        by_id: dict[str, PublicKey] = {}
        for key in keys:
            if by_id.setdefault(key.kid, key) is not key:
                raise SetupError(f"the keyset has two keys of the id {key.kid}; give each an id of its own")
        return cls(by_id)

    @classmethod
    def from_json(cls, document: bytes | str | Mapping[str, object]) -> Keyset:
        """Read the text, or the object that was read of it. `SetupError` says what is wrong; unknown fields may be."""
        parsed = document if isinstance(document, Mapping) else _parse(document)
        entries = parsed.get("keys") if isinstance(parsed, Mapping) else None
        if not isinstance(entries, list) or not entries:
            raise SetupError("no keyset: an object with a list `keys` of at least one key is wanted")
        return cls.of(_read_entry(entry, number) for number, entry in enumerate(entries, 1))

    def as_json(self) -> dict[str, object]:
        return {"keys": [key.as_json() for key in self.keys.values()]}

    def verify(self, kid: str, message: bytes, signature: bytes, *, at_ms: int | None = None) -> bool:
        """Whether the key of this id signed the message; False too for an unknown id, or past its end at `at_ms`."""
        key = self.keys.get(kid)
        if key is None or (at_ms is not None and key.not_after_ms is not None and at_ms > key.not_after_ms):
            return False
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def to_base64url(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The bytes; `ValueError` for every text but the one that `to_base64url` makes of them."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64 for URLs") from exc
    if to_base64url(data) != text:  # unused bits that are not zero, + or /
        raise ValueError("not base64 for URLs as it is written here")
    return data


def _parse(text: bytes | str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise SetupError("no keyset: the text is no JSON; `GET /v1/keyset` of the control plane gives one") from exc


def _read_entry(entry: object, number: int) -> PublicKey:
    if not isinstance(entry, Mapping):
        raise SetupError(f"key {number} of the keyset is no object")
    if entry.get("alg") != ALGORITHM:
        raise SetupError(f"key {number} of the keyset: alg must be {ALGORITHM}")
    kid, encoded, not_after = entry.get("kid"), entry.get("x"), entry.get("notAfter")
    if not isinstance(kid, str) or not isinstance(encoded, str):
        raise SetupError(f"key {number} of the keyset: kid and x must be text")
    try:
        return PublicKey(kid, from_base64url(encoded), None if not_after is None else ms_of(not_after))
    except ValueError as exc:
        raise SetupError(f"key {number} of the keyset: {exc}") from exc


def _check_key(kid: str, key: bytes) -> None:
    if not KEY_ID.fullmatch(kid):
        raise ValueError("a key's id has 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit")
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {ALGORITHM} has {KEY_BYTES} bytes, not {len(key)}")
