"""Asks the server about frames, in whatever way a hypothesis has it; the same way is asked once."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from reflex.client import ReflexClient
from reflex.errors import InferenceError, InvalidRequestError, ServiceError
from reflex.wire import LARGEST_STATE, ActResult
from reflex_learning.diagnosis.hypotheses import Hypothesis
from reflex_learning.diagnosis.moments import Moment, Place
from reflex_learning.diagnosis.served import Served

__all__ = ["Asker"]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

SMALL_PIXELS: Final = 128 * 128
"""Up to these a picture goes without loss; a larger one as robots send it."""
QUALITY: Final = 95


@dataclass
class Asker:
    """`sizes` are heights and widths of cameras whose pictures are scaled before they are sent."""

    client: ReflexClient
    served: Served
    ends_s: float
    advance: Callable[[int], None]
    instruction: str | None = None
    """In place of what was recorded."""
    requests: int = 0
    failures: list[ServiceError] = field(default_factory=list)
    round_trips_s: list[float] = field(default_factory=list)
    _clamped: dict[tuple[Place, str, int], frozenset[str]] = field(default_factory=dict)
    _kept: dict[tuple[Place, str, int], Array] = field(default_factory=dict)
    _files: dict[tuple[Place, str], bytes] = field(default_factory=dict)

    def chunk(self, moment: Moment, undone: Sequence[Hypothesis] = (), *, seed: int = 0) -> Array:
        """[steps, axes] of robot units; NaN where the server refuses what it is asked."""
        key = moment.place, _way(undone), seed
        if key not in self._kept:
            self._kept[key] = self._asked(moment, undone, seed)
        return self._kept[key]

    def clamped(self, moments: Sequence[Moment], undone: Sequence[Hypothesis]) -> list[frozenset[str]]:
        """Of each answer to what was asked in this way: the axes that the guard changed."""
        keys = [(moment.place, _way(undone), 0) for moment in moments]
        return [self._clamped[key] for key in keys if key in self._clamped]

    def _asked(self, moment: Moment, undone: Sequence[Hypothesis], seed: int) -> Array:
        if time.monotonic() > self.ends_s:
            raise TimeoutError
        started_s = time.monotonic()
        try:
            answer = self._send(moment, undone, seed)
        except (InvalidRequestError, InferenceError) as exc:
            self.failures.append(exc)
            return np.full((self.served.horizon, self.served.action_dim), np.nan)
        finally:
            self.requests += 1
            self.advance(1)
        self.round_trips_s.append(time.monotonic() - started_s)
        axes = frozenset(str(each["name"]) for each in answer["guard_violations"])
        self._clamped[moment.place, _way(undone), seed] = axes
        return self._fitted(np.array(answer["actions"], np.float64))

    def _send(self, moment: Moment, undone: Sequence[Hypothesis], seed: int) -> ActResult:
        state = moment.state(sum(each.later for each in undone))
        text = moment.instruction if self.instruction is None else self.instruction
        for each in undone:
            state = each.state(state) if each.state else state
            text = each.instruction(text) if each.instruction else text
        place, pictures = moment.place, moment.pictures
        for each in undone:
            pictures = each.pictures(pictures) if each.pictures else pictures
        is_changed = any(each.pictures for each in undone)
        return self.client.act(
            state=np.nan_to_num(state, posinf=LARGEST_STATE, neginf=-LARGEST_STATE).clip(-LARGEST_STATE, LARGEST_STATE),
            images={name: self._file(pixels, place, name, kept=not is_changed) for name, pixels in pictures.items()},
            instruction=text if self.served.takes_instruction else "",
            seed=place.episode * 1_000_003 + place.frame + seed,
        )

    def _file(self, pixels: Pixels, place: Place, camera: str, *, kept: bool) -> bytes:
        """A picture as recorded is encoded once for all that is asked about it."""
        if not kept:
            return self._encoded(pixels, camera)
        if (place, camera) not in self._files:
            self._files[place, camera] = self._encoded(pixels, camera)
        return self._files[place, camera]

    def _encoded(self, pixels: Pixels, camera: str) -> bytes:
        picture, file = Image.fromarray(pixels), io.BytesIO()
        if camera in self.served.sizes:
            height, width = self.served.sizes[camera]
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        if picture.width * picture.height <= SMALL_PIXELS:
            picture.save(file, "PNG", compress_level=1)
        else:
            picture.save(file, "JPEG", quality=QUALITY)
        return file.getvalue()

    def _fitted(self, actions: Array) -> Array:
        """Of the policy's own shape, whatever came."""
        fitted = np.full((self.served.horizon, self.served.action_dim), np.nan)
        steps, axes = min(len(fitted), len(actions)), min(fitted.shape[1], actions.shape[1])
        fitted[:steps, :axes] = actions[:steps, :axes]
        return fitted


def _way(undone: Sequence[Hypothesis]) -> str:
    """What is asked otherwise than it was recorded."""
    return "|".join(each.sent for each in undone if each.sent)
