"""Credentials that somebody has tampered with."""

from __future__ import annotations

import random

from reflex.signed.signing import to_base64url

__all__ = ["altered"]


def altered(chance: random.Random, token: str, other: str) -> str:
    """A byte changed, cut out, put in or moved, an end cut off, or one's claims with another's signature."""
    place, letter = chance.randrange(len(token)), chance.choice("AZaz09-_.=")
    match chance.randrange(5):
        case 0:
            return token[:place] + letter + token[place + 1 :]
        case 1:
            return token[:place] + token[place + 1 :]
        case 2:
            return token[:place] + letter + token[place:]
        case 3:
            return token[: max(place, 9)]
        case _:
            return (
                f"{token.partition('.')[0]}.{to_base64url(chance.randbytes(64))}"
                if place % 2
                else swapped(token, other)
            )


def swapped(token: str, other: str) -> str:
    return f"{token.partition('.')[0]}.{other.partition('.')[2]}"
