"""Bytes that only who has the key can read or make: AES-256-GCM, with a nonce of its own each time."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["sealed", "unsealed"]

NONCE_BYTES: Final = 12


def sealed(key: bytes, plain: bytes, label: bytes = b"") -> bytes:
    """`plain` under a key of 32 bytes; the label says what it is, and is not in it."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, label)


def unsealed(key: bytes, data: bytes, label: bytes = b"") -> bytes:
    """What was sealed under this key and label; `InvalidTag` or `ValueError` for everything else."""
    return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], label)
