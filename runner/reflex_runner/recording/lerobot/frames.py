"""Frames at the declared rate, each made of the nearest measured tick; where nothing was measured there is no frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import Tick

__all__ = ["Frame", "FrameMaker", "Pictures", "usable"]

KEPT: Final = 4
"""Pictures of a camera: one may come before the tick that it is too new for."""
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a dataset, with the times at which it was really measured."""

    at_s: float
    state: FloatArray
    action: FloatArray
    applied: bool
    pictures: Mapping[str, Picture]


class Pictures:
    """The newest pictures of each camera."""

    def __init__(self) -> None:
        self._by_camera: dict[str, list[Picture]] = {}

    def add(self, camera: str, picture: Picture) -> None:
        """Whatever the order in which they come."""
        kept = sorted([*self._by_camera.get(camera, []), picture], key=lambda one: one.captured_s)
        self._by_camera[camera] = kept[-KEPT:]

    def seen_at(self, camera: str, at_s: float) -> Picture | None:
        """The newest that was taken by then."""
        kept = self._by_camera.get(camera, [])
        return next((picture for picture in reversed(kept) if picture.captured_s <= at_s), None)


class FrameMaker:
    """Of ticks, in their order. A frame belongs to the moment `first + n / fps` to which its tick is the nearest.

    A moment from which every tick is more than a period away gets no frame: a pause of the loop becomes no standstill.
    """

    def __init__(self, fps: int) -> None:
        self._period_s = 1.0 / fps
        self._first_s: float | None = None
        self._next = 0
        self._before: Frame | None = None

    def add(self, frame: Frame) -> Iterator[Frame]:
        """The frames that are certain now."""
        if self._first_s is None:
            self._first_s = frame.at_s
        before = frame if self._before is None else self._before
        self._skip_to(frame.at_s - 2 * self._period_s, before.at_s + 2 * self._period_s)
        while self._moment_s <= frame.at_s:
            yield from self._nearest(before, frame)
            self._next += 1
        self._before = frame

    def end(self) -> Iterator[Frame]:
        """The one whose moment the last tick missed by less than half a period."""
        if self._before is not None and self._moment_s - self._before.at_s <= self._period_s / 2:
            yield self._before

    @property
    def _moment_s(self) -> float:
        return (self._first_s or 0.0) + self._next * self._period_s

    def _skip_to(self, moment_s: float, after_s: float) -> None:
        """Over a long pause in one step."""
        if moment_s > after_s and self._moment_s > after_s:
            self._next += max(0, int((moment_s - self._moment_s) / self._period_s))

    def _nearest(self, before: Frame, after: Frame) -> Iterator[Frame]:
        moment_s = self._moment_s
        nearest = before if moment_s - before.at_s <= after.at_s - moment_s else after
        if abs(nearest.at_s - moment_s) <= self._period_s:
            yield nearest


def usable(tick: Tick, pictures: Pictures, cameras: tuple[str, ...]) -> Frame | None:
    """The tick as a frame; None while no command was given, or a camera has shown nothing yet."""
    if tick.command is None or tick.measured is None or not np.isfinite(tick.measured).all():
        return None
    shown = {camera: pictures.seen_at(camera, tick.at_s) for camera in cameras}
    seen = {camera: picture for camera, picture in shown.items() if picture is not None}
    if len(seen) < len(cameras):
        return None
    return Frame(tick.at_s, tick.measured, tick.command, tick.applied, seen)
