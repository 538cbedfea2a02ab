"""How a robot can use the chunks of a server: the table that `--strategies` chooses from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["STRATEGIES", "Strategy"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """When to ask, where to go on in the answer, and what to tell the server."""

    name: str
    meaning: str
    asks_ahead: bool
    """While actions are left; the answer's steps that are past by then are dropped. Else: stand still and wait."""
    tells_progress: bool = False
    """How far the chunk before is executed, and will be when the answer arrives: what a server with --rtc uses."""
    corrects: bool = False
    """Asks a server whose correction head changes the actions that latency made stale."""


_ALL: Final = (
    Strategy("sync", "execute a chunk to its end, stand still, ask, wait", asks_ahead=False),
    Strategy("open-loop", "ask ahead, and go over to the new chunk when it arrives", asks_ahead=True),
    Strategy("rtc", "the same, with real-time chunking in the server", asks_ahead=True, tells_progress=True),
    Strategy("rtc+a2c2", "the same, with a correction head too", asks_ahead=True, tells_progress=True, corrects=True),
)
STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType({each.name: each for each in _ALL})
