"""Every way to come without a right: what a route gets as credentials, by name."""

from __future__ import annotations

from dataclasses import dataclass

from reflex.api_keys import new_key

__all__ = ["Credential", "bearer", "in_key_header", "wrong_credentials"]

Header = tuple[bytes, bytes]
LONG = b"x" * 10_240


@dataclass(frozen=True)
class Credential:
    """Headers, and what stands behind the path."""

    headers: tuple[Header, ...] = ()
    query: str = ""


def bearer(secret: str | bytes) -> Header:
    return b"Authorization", b"Bearer " + (secret.encode() if isinstance(secret, str) else secret)


def in_key_header(secret: str | bytes) -> Header:
    return b"X-Reflex-Key", secret.encode() if isinstance(secret, str) else secret


def wrong_credentials(right: str) -> dict[str, Credential]:
    """Whoever holds `right` presents it in a way that does not count, or somebody else presents something else."""
    scrambled = right[:-1] + ("a" if right[-1] != "a" else "b")
    return {
        "none": Credential(),
        "empty": Credential((bearer(""), in_key_header(""))),
        "malformed": Credential((bearer("rfx_short"),)),
        "mistyped": Credential((bearer(scrambled),)),
        "unknown": Credential((bearer(new_key()),)),
        "non-ASCII": Credential((bearer("é" * 20),)),
        "no text": Credential((bearer(b"\xff" * 40),)),
        "10 KB": Credential((bearer(LONG),)),
        "twice": Credential((bearer(right), bearer(right))),
        "in the query": Credential((), f"?key={right}&api_key={right}&token={right}&x-reflex-key={right}"),
        "in a cookie": Credential(((b"Cookie", f"key={right}; x-reflex-key={right}".encode()),)),
        "another scheme": Credential(((b"Authorization", f"Basic {right}".encode()),)),
        "without a scheme": Credential(((b"Authorization", right.encode()),)),
        "headers that disagree": Credential((bearer(right), in_key_header(new_key()))),
    }
