"""Secrets that are used once: told to one machine, and stored as a hash under a label of their kind."""

from __future__ import annotations

import hmac
from typing import Final

from reflex_control.identity.ids import random_text

__all__ = ["digest_of", "new_secret"]

RANDOM_CHARACTERS: Final = 30
"""178 bits, which nobody guesses: no salt, and no slow hash."""


def new_secret(prefix: str) -> str:
    """The prefix says to people what it is."""
    return prefix + random_text(RANDOM_CHARACTERS)


def digest_of(secret: str, label: bytes) -> bytes:
    """Of whatever was sent, half a surrogate pair as well."""
    return hmac.digest(label, secret.encode("utf-8", "surrogatepass"), "sha256")
