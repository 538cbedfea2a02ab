"""Which of two policies answers: a pure function of the episode, so every replica agrees without talking."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from reflex.wire import SlotName

__all__ = ["draw_slot", "slot_of"]

HASHED_BYTES: Final = 8
"""2^64 is no multiple of 100: the first buckets are likelier by one part in 10^17."""
BUCKETS: Final = 100


def slot_of(episode_id: str, split: int) -> SlotName:
    """The slot of a whole episode; `split` is the share of slot a in percent, 0 to 100.

    The first 8 bytes of SHA-256 of the id in UTF-8, big-endian, modulo 100; below the split is a. Raising the split
    moves episodes from b to a and none the other way.
    """
    digest = hashlib.sha256(episode_id.encode()).digest()
    return _slot(int.from_bytes(digest[:HASHED_BYTES], "big") % BUCKETS, split)


def draw_slot(split: int, random: Callable[[], float]) -> SlotName:
    """The slot of one request that belongs to no episode; `random` draws from [0, 1)."""
    return _slot(random() * BUCKETS, split)


def _slot(bucket: float, split: int) -> SlotName:
    return "a" if bucket < split else "b"
