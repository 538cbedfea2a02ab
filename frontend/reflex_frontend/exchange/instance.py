"""This process: since when it runs, what it is answering, and whether it is on its way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import UnavailableError

__all__ = ["Instance"]

DRAIN_RETRY_S: Final = 1.0


@dataclass
class Instance:
    """One server; `now` is a monotonic clock in seconds."""

    now: Callable[[], float]
    is_draining: bool = False
    answering: int = 0
    """Requests of /act that have begun and are not answered yet."""
    streams: int = 0
    """Connections to /act/stream: each ends itself, with the code for it, once this is on its way out."""
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.now()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for the end of what has begun."""
        return self.answering > 0 or self.streams > 0

    @property
    def uptime_s(self) -> float:
        return self.now() - self.started_at

    def admit(self) -> None:
        """Raise the `UnavailableError` of a server that is being stopped."""
        if self.is_draining:
            raise UnavailableError(
                "draining", "this instance is shutting down; use another", retry_after_s=DRAIN_RETRY_S
            )
