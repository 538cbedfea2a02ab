"""How every function of the SDK asks: one operation, over a connection of its own, with the key that is found."""

from __future__ import annotations

from typing import TypeVar

from reflex.control.ask import Ask
from reflex.control.opening import open_client

__all__ = ["answer"]

ResultT = TypeVar("ResultT")


def answer(ask: Ask[ResultT], api_key: str | None, convex_url: str | None, backend_url: str | None) -> ResultT:
    """Send one operation. What is not given comes from the environment, then from what `reflex login` stored."""
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        return client.answer(ask)
