"""`Ablation`: what is taken from a policy to see whether it listens to it; the robot itself goes on as ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from reflex.connector import CameraFrame, Observation
from reflex.errors import SetupError
from reflex_runner.page.pictures import as_pixels
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.transport import Transport

__all__ = ["OTHER", "Ablation", "Alter", "Altered", "parse_ablation"]

Alter = Callable[[Observation], Observation]
OTHER: Final = "other"
HOW: Final = "image, image=other, state, state=other, instruction, or instruction=TEXT"


@dataclass(frozen=True, slots=True)
class Ablation:
    """One of image, state and instruction, and what the policy gets in its place."""

    what: Literal["image", "state", "instruction"]
    instead: str = ""
    """"": black pictures, a state of zeros, no instruction; `other`: of the beginning of another episode; of an
    instruction the text."""

    def __str__(self) -> str:
        return f"{self.what}={self.instead}" if self.instead else self.what

    @property
    def needs_another(self) -> bool:
        """Whether it takes what another episode began with."""
        return self.what != "instruction" and self.instead == OTHER

    def altering(self, other: Observation | None) -> Alter:
        """What is done to each observation; `other` is what another episode began with."""
        if self.what == "instruction":
            return lambda observation: replace(observation, task=self.instead)
        if self.what == "state":
            return lambda observation: replace(
                observation, state=np.zeros_like(observation.state) if other is None else other.state
            )
        return lambda observation: replace(
            observation, cameras={name: _instead(name, frame, other) for name, frame in observation.cameras.items()}
        )


def parse_ablation(told: str) -> Ablation:
    """`image=other` and the like; `SetupError` for what is none."""
    what, _, instead = told.partition("=")
    if what == "instruction":
        return Ablation("instruction", instead.strip())
    if what not in ("image", "state") or instead not in ("", OTHER):
        raise SetupError(f"--ablate: {told!r} takes nothing away; say {HOW}")
    return Ablation("image" if what == "image" else "state", instead)


class Altered:
    """A `Transport` whose policy is told something else than what the robot observed."""

    def __init__(self, inner: Transport, alter: Alter) -> None:
        self._inner, self._alter = inner, alter

    @property
    def control_hz(self) -> float:
        return self._inner.control_hz

    def open(self) -> None:
        self._inner.open()

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """The chunk for what the observation was made into; it is of the same moment."""
        return self._inner.ask(seq, self._alter(observation), executed_steps=executed_steps)

    def close(self) -> None:
        self._inner.close()


def _instead(name: str, frame: CameraFrame, other: Observation | None) -> CameraFrame:
    if other is not None and name in other.cameras:
        return replace(frame, image=other.cameras[name].image)
    pixels = as_pixels(frame.image)
    return frame if pixels is None else replace(frame, image=np.zeros_like(pixels))
