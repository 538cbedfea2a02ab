"""What a format is: it begins episodes, and each takes what happens, in order, and ends whole or not at all.

Everything here is called from one thread, of the process that writes. Whatever raises ends the episode in this format
alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reflex.connector import Observation
from reflex_runner.recording.facts import RunFacts
from reflex_runner.recording.moments import Moments
from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["EpisodeEnd", "EpisodeStart", "EpisodeWriter", "Format", "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """What all formats of one recording share."""

    folder: Path
    facts: RunFacts
    moments: Moments
    header: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EpisodeStart:
    """An episode that begins; they are numbered from 0."""

    number: int
    at_s: float
    instruction: str


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """An episode that is over."""

    at_s: float
    success: bool | None
    """None: nobody said."""
    reason: str
    """`ended`, `closed` with the run, `killed` with it, `disk_full`, or `interrupted` and repaired later."""
    dropped: Mapping[str, int]
    """What happened and is not in the episode, by kind."""


class EpisodeHooks:
    """What happens to an episode. A format overrides what it keeps."""

    def start(self) -> None:
        """Write what stands at its head. When that fails it is abandoned, so what is open is closed."""

    def pictured(self, camera: str, picture: Picture) -> None:
        """A picture that was not there before; comes ahead of the observation or the tick that it belongs to."""

    def observed(self, seq: int, observation: Observation) -> None:
        """An observation was sent to the policy."""

    def answered(self, chunk: DatedChunk) -> None:
        """The policy answered."""

    def ticked(self, tick: Tick) -> None:
        """A period of the control loop is over."""

    def noted(self, event: Event) -> None:
        """Something happened that is worth a line."""

    def flush(self) -> None:
        """Hand what is held to the operating system: a killed process loses nothing of it."""


class EpisodeWriter(EpisodeHooks, ABC):
    """One open episode. How it ends, every format says."""

    @abstractmethod
    def finish(self, end: EpisodeEnd) -> None:
        """Give the episode its name, whole and on disk."""

    @abstractmethod
    def abandon(self) -> None:
        """Close what is open after a failure, and leave it for `reflex datasets repair`."""


class Format(Protocol):
    """One format of one recording."""

    def begin(self, episode: EpisodeStart) -> EpisodeWriter:
        """Open an episode."""
        ...

    def close(self) -> None:
        """No episode comes any more."""
        ...
