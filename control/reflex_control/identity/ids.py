"""Ids: what a thing is, and 22 random characters; nobody can guess one or learn from it how many there are."""

from __future__ import annotations

import re
import secrets
import string
from typing import Final, Literal

__all__ = ["ID", "Kind", "new_id", "random_text"]

Kind = Literal[
    "org", "key", "model", "schema", "robot", "deploy", "sess", "rcpt", "pair", "login", "kid", "data", "run", "lease"
]  # fmt: skip

BASE62: Final = string.digits + string.ascii_letters
CHARACTERS: Final = 22
"""131 bits."""
ID: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
"""What is looked up at all; the store's columns take no more."""


def new_id(kind: Kind) -> str:
    """Like `robot_3fK...`."""
    return f"{kind}_{random_text(CHARACTERS)}"


def random_text(characters: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(characters))
