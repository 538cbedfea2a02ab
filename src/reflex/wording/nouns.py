"""Numbers and names with their noun: one is singular, none and several are plural."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "named"]


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 request`, `2,000 requests`, `3 axes`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def named(noun: str, names: Sequence[str]) -> str:
    """`the camera base`, `the cameras base, wrist`, `no camera`."""
    if not names:
        return f"no {noun}"
    return f"the {noun}{'' if len(names) == 1 else 's'} {', '.join(names)}"
