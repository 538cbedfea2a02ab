"""`Watching`: sees each episode of an evaluation, gives the policy what it is to be told, and keeps how it went."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from PIL import Image

from reflex.connector import CameraFrame, Observation
from reflex.errors import SetupError
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.evaluation.ablation import Ablation, Altered
from reflex_runner.evaluation.films import Films
from reflex_runner.evaluation.outcomes import EpisodeOutcome
from reflex_runner.page.pictures import as_pixels
from reflex_runner.running.attending import EpisodePlan, PlayedEpisode, Unattended
from reflex_runner.tick import Tick
from reflex_runner.transports.transport import Transport

__all__ = ["Beginnings", "Watching"]

MOST_BEGINNINGS: Final = 16
FINGERPRINT_DIGITS: Final = 16


@dataclass
class Beginnings:
    """What the first episodes began with."""

    seen: list[Observation] = field(default_factory=list)

    def add(self, observation: Observation) -> None:
        """One more; of many the first are enough."""
        if len(self.seen) < MOST_BEGINNINGS:
            self.seen.append(observation)

    def other_than(self, number: int) -> Observation:
        """Of another episode than that one, where there are two."""
        return self.seen[(number + 1) % len(self.seen)]


class Watching(Unattended):
    """Of one evaluation. `told` hears each outcome at once."""

    def __init__(
        self,
        told: Callable[[EpisodeOutcome], None],
        *,
        beginnings: Beginnings,
        ablation: Ablation | None = None,
        is_raw: bool = False,
        films: Films | None = None,
    ) -> None:
        self._told, self._beginnings, self._ablation = told, beginnings, ablation
        self._is_raw, self._films = is_raw, films
        self._number = -1
        self._began_s = self._first_s = self._last_s = 0.0
        self._commands = hashlib.sha256()

    def began(self, plan: EpisodePlan, frames: Callable[[], Mapping[str, CameraFrame]] | None) -> None:
        """Everything of the episode before is forgotten."""
        self._number += 1
        self._began_s, self._first_s = SYSTEM_CLOCK.now(), 0.0
        self._commands = hashlib.sha256()
        if self._films is not None:
            self._films.begin(plan.seed, frames)

    def between(self, transport: Transport) -> Transport:
        """The ablation first, then the pictures as they are to be sent."""
        sent = Altered(transport, _raw) if self._is_raw else transport
        ablation = self._ablation
        if ablation is None:
            return sent
        other = self._beginnings.other_than(self._number) if ablation.needs_another else None
        return Altered(sent, ablation.altering(other))

    def observed(self, seq: int, observation: Observation) -> None:
        """The first one is what the episode began with."""
        if seq == 0 and self._ablation is None:
            self._beginnings.add(observation)

    def ticked(self, tick: Tick) -> None:
        """A step was made."""
        self._first_s, self._last_s = self._first_s or tick.at_s, tick.at_s
        if tick.command is not None:
            self._commands.update(tick.command.tobytes())
        if self._films is not None:
            self._films.look()

    def ended(self, episode: PlayedEpisode) -> None:
        """Tell how it went. `SetupError` for a robot that does not know."""
        if episode.success is None:
            raise SetupError(
                "the robot does not say whether an episode has succeeded: give it an attribute `succeeded`"
            )
        result = episode.result
        self._told(
            EpisodeOutcome(
                episode.seed, episode.instruction, episode.success, episode.ended_by, result.steps,
                result.clamped_steps, dict(result.latency_ms), self._last_s - self._first_s,
                SYSTEM_CLOCK.now() - self._began_s, self._commands.hexdigest()[:FINGERPRINT_DIGITS],
                None if episode.success or self._films is None else self._films.keep(),
            )
        )  # fmt: skip


def _raw(observation: Observation) -> Observation:
    """With pictures as PNG files: a transport hands those on as they are."""
    return replace(observation, cameras={name: _as_png(frame) for name, frame in observation.cameras.items()})


def _as_png(frame: CameraFrame) -> CameraFrame:
    pixels = None if isinstance(frame.image, bytes) else as_pixels(frame.image)
    if pixels is None:
        return frame
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return replace(frame, image=file.getvalue())
