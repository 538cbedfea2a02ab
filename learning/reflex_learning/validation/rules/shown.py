"""Rules of what one camera shows in one episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_learning.reading.info import Feature
from reflex_learning.validation.rule import Finding, Rule

__all__ = ["RULES", "Shown"]

BLACK: Final = 20
"""Of 255: what a covered lens gives; video black is 16."""
MOSTLY: Final = 0.9
REPEATED: Final = 0.4
FEWEST: Final = 10


@dataclass(slots=True)
class Shown:
    """The pictures of one camera in one episode, as few numbers of each."""

    feature: Feature
    episode: int
    file: str
    brightness: list[float] = field(default_factory=list)
    """The brightest that a picture has, but for a hundredth of it."""
    same: list[bool] = field(default_factory=list)
    """Whether a picture is that before it."""
    moved: npt.NDArray[np.bool_] | None = None
    """Whether the robot moved since the frame before."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """Frames that are no pictures, or of another size."""
    other_sizes: list[tuple[int, str]] = field(default_factory=list)

    def at(self, says: str, frame: int | None = None) -> Finding:
        return Finding(f"{self.feature.name}: {says}", self.file, self.episode, frame)

    @property
    def darkness(self) -> float:
        """The share of pictures that are black."""
        return float((np.array(self.brightness) < BLACK).mean()) if self.brightness else 0.0

    @property
    def repeats(self) -> float | None:
        """The share of pictures that are those before them, of the frames in which the robot moved; None of too few."""
        if self.moved is None or len(self.moved) != len(self.same) or self.darkness > MOSTLY:
            return None
        told = np.array(self.same)[self.moved]
        return float(told.mean()) if len(told) >= FEWEST else None


def _are_pictures(shown: Shown) -> Iterator[Finding]:
    for frame, problem in shown.problems[:1]:
        yield shown.at(problem, frame)


def _are_of_their_size(shown: Shown) -> Iterator[Finding]:
    for frame, size in shown.other_sizes[:1]:
        yield shown.at(f"a picture is {size}, and {list(shown.feature.shape[:2])} in meta/info.json", frame)


def _are_not_black(shown: Shown) -> Iterator[Finding]:
    if shown.darkness > MOSTLY:
        yield shown.at(f"{shown.darkness:.0%} of its pictures are black")


def _change(shown: Shown) -> Iterator[Finding]:
    if shown.repeats == 1.0:
        yield shown.at("every picture is the first, while the robot moves")


def _are_new(shown: Shown) -> Iterator[Finding]:
    repeats = shown.repeats
    if repeats is not None and REPEATED <= repeats < 1.0:
        yield shown.at(f"{repeats:.0%} of its pictures are the one before, while the robot moves")


RULES: Final = (
    Rule(
        "picture-decodes", "error", "every picture in the tables can be decoded", "copy the table anew", _are_pictures
    ),
    Rule(
        "picture-size",
        "error",
        "pictures are as large as meta/info.json says",
        "write its shape, or the pictures anew",
        _are_of_their_size,
    ),
    Rule(
        "black-pictures",
        "warning",
        "cameras see something",
        "look whether the lens was covered; delete the episode",
        _are_not_black,
    ),
    Rule(
        "frozen-pictures",
        "warning",
        "pictures change while the robot moves",
        "the camera hung: delete the episode",
        _change,
    ),
    Rule(
        "repeated-pictures",
        "warning",
        "cameras are as fast as the dataset",
        "record at the camera's rate: its fps is lower than the dataset's",
        _are_new,
    ),
)
