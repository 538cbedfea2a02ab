"""Ids: what a thing is, and 22 random characters; nobody can guess one or learn from it how many there are."""

from __future__ import annotations

import secrets
import string
from typing import Final, Literal

__all__ = ["Kind", "new_id"]

Kind = Literal["org", "key", "model", "schema", "robot", "deploy", "sess", "rcpt", "pair", "login", "kid"]

BASE62: Final = string.digits + string.ascii_letters
CHARACTERS: Final = 22
"""131 bits."""


def new_id(kind: Kind) -> str:
    """Like `robot_3fK...`."""
    return f"{kind}_" + "".join(secrets.choice(BASE62) for _ in range(CHARACTERS))
