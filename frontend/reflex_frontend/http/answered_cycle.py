"""Stands in uvicorn's protocol for a request that was answered without a cycle of its own."""

from __future__ import annotations

import asyncio

__all__ = ["AnsweredCycle"]


class AnsweredCycle:
    """What uvicorn asks a cycle for; of this one it asks no more."""

    response_complete = True
    response_started = True
    disconnected = False
    keep_alive = True
    more_body = False

    def __init__(self) -> None:
        self.message_event = asyncio.Event()
