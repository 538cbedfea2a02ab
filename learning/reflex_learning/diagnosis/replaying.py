"""The error as recorded, and under each hypothesis: a few frames for all of them, more for those that look best.

What is told rests on the frames that had no part in the choice. A hypothesis that holds stays undone while the others
are tried once more, until none is left that explains anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_learning.diagnosis.asking import Asker
from reflex_learning.diagnosis.hypotheses import (
    Hypothesis,
    actions_and_times,
    of_instructions,
    of_pictures,
    of_vectors,
    of_zeros,
)
from reflex_learning.diagnosis.moments import Moment
from reflex_learning.diagnosis.report import Finding, Trial
from reflex_learning.diagnosis.scoring import Evidence, evidence_of, frame_errors

__all__ = ["Replay"]

Array = npt.NDArray[np.float64]
Undone = tuple[Hypothesis, ...]

FEW: Final = 8
"""Frames that every hypothesis is tried on."""
HOPEFUL: Final = 24
"""Hypotheses that are tried on all frames of the screening, a third of those there are."""
FINALISTS: Final = 6
WORTH: Final = 0.9
"""Share of the error of the screening that a hypothesis leaves at most, to be tried on the other frames."""
SUSPECTS: Final = 5
ROUNDS: Final = 3
GAIN: Final = 0.1
"""Of the first error: what another fault beside a named one has to explain."""
BIASED: Final = 0.25
"""In spreads: an axis that is off by so much may have another zero."""
TIMES: Final = (1.0, 1.5)
QUARTER_DEG: Final = 90.0


@dataclass
class Replay:
    """`moments` are in the order in which they were chosen: the first few are those of the screening."""

    asker: Asker
    moments: Sequence[Moment]
    scale: Array
    texts: Sequence[str]

    def errors(self, moments: Sequence[Moment], undone: Undone = ()) -> Array:
        """[frames]."""
        return frame_errors(self.taken(moments, undone), self.recorded(moments, undone), self.scale)

    def taken(self, moments: Sequence[Moment], undone: Undone = ()) -> Array:
        """[frames, steps, axes] of what comes back, as it would have been recorded."""
        chunks = np.stack([self.asker.chunk(moment, undone) for moment in moments])
        for each in undone:
            chunks = each.taken(chunks) if each.taken else chunks
        return chunks

    def recorded(self, moments: Sequence[Moment], undone: Undone = ()) -> Array:
        steps, shift, rate = self.asker.served.horizon, sum(each.shift for each in undone), 1.0
        for each in undone:
            rate *= each.rate
        return np.stack([moment.recorded(steps, shift, rate) for moment in moments])

    def find(self, trials: list[Trial]) -> Iterable[tuple[Finding, Hypothesis]]:
        """One fault after the other; what was tried goes to `trials`."""
        undone: Undone = ()
        first = float(np.nanmean(self.errors(self.moments)))
        for _ in range(ROUNDS):
            found = self._best(undone, trials)
            if found is None or found[1].before - found[1].after < GAIN * first:
                return
            best, evidence, also = found
            undone = (*undone, best)
            yield Finding(best.kind, best.detail, evidence, also), best

    def _best(self, undone: Undone, trials: list[Trial]) -> tuple[Hypothesis, Evidence, tuple[str, ...]] | None:
        screening = len(self.moments) // 3
        rest = self.moments[screening:]
        finalists = self._screened(self.moments[:screening], undone, trials)
        before = self.errors(rest, undone) if finalists else np.zeros(0)
        after = {each: self.errors(rest, (*undone, each)) for each in finalists}
        judged = [(each, evidence_of(before, errors)) for each, errors in after.items()]
        holding = [pair for pair in judged if pair[1].is_collapse(len(finalists))]
        if not holding:
            return None
        least, _ = min(holding, key=lambda pair: pair[1].after)
        as_good = [pair for pair in holding if evidence_of(after[pair[0]], after[least]).is_alike]
        alike = [pair for pair in as_good if pair[0].kind == as_good[0][0].kind]
        best, evidence = min(alike, key=lambda pair: pair[1].after)
        return best, evidence, tuple(each.name for each, _ in holding if each is not best)

    def _screened(self, moments: Sequence[Moment], undone: Undone, trials: list[Trial]) -> list[Hypothesis]:
        """Those that look best, in the order of the table: of all by a few frames, of the better ones by all."""
        named = {each.kind for each in undone}
        tried = [
            each for each in self.hypotheses(moments, undone) if each.kind not in named or each.kind.endswith(PER_AXIS)
        ]
        found = self._tried(moments[:FEW], undone, tried)
        trials += [
            Trial(each.name, evidence.after, evidence.frames) for each, evidence in zip(tried, found, strict=True)
        ]
        hopeful = _best(tried, found, most=HOPEFUL, left=1.0)
        return _best(hopeful, self._tried(moments, undone, hopeful), most=FINALISTS, left=WORTH)

    def _tried(self, moments: Sequence[Moment], undone: Undone, tried: Sequence[Hypothesis]) -> list[Evidence]:
        before = self.errors(moments, undone)
        return [evidence_of(before, self.errors(moments, (*undone, each))) for each in tried]

    def hypotheses(self, few: Sequence[Moment], undone: Undone = ()) -> list[Hypothesis]:
        """All that fit this policy, the commoner ones first."""
        served, cameras = self.asker.served, tuple(few[0].pictures)
        suspects = self._suspects(few, undone)
        shapes = [few[0].pictures[camera].shape for camera in cameras]
        return [
            *(of_pictures(cameras, shapes) if cameras else ()),
            *of_vectors(served, suspects, self._spreads()),
            *actions_and_times(),
            *(of_instructions(self.texts) if served.takes_instruction else ()),
            *of_zeros(served, self._offsets(few, undone, suspects)),
        ]

    def _apart(self, few: Sequence[Moment], undone: Undone) -> Array:
        return self.taken(few, undone) - self.recorded(few, undone)

    def _suspects(self, few: Sequence[Moment], undone: Undone) -> list[str]:
        """The axes that are furthest off."""
        apart = np.nan_to_num(np.abs(self._apart(few, undone))) / self.scale
        order = np.argsort(-np.minimum(apart, 3.0).mean((0, 1)))[:SUSPECTS]
        return [self.asker.served.robot.action_names[axis] for axis in order]

    def _offsets(self, few: Sequence[Moment], undone: Undone, suspects: Sequence[str]) -> list[tuple[str, float]]:
        """By how much an axis may be off: as far as its answers are, on the whole, and by a right angle."""
        apart, robot = self._apart(few, undone), self.asker.served.robot
        found: list[tuple[str, float]] = []
        for name in suspects[:2]:
            axis = robot.action_names.index(name)
            ends = [float(np.nanmedian(apart[:, step, axis])) for step in (0, -1)]
            off = [end for end in ends if abs(end) > BIASED * self.scale[axis]]
            found += [(name, sign * times * end) for end in off for times in TIMES for sign in (1, -1)]
            if robot.action_units[axis] == "deg":
                found += [(name, QUARTER_DEG), (name, -QUARTER_DEG)]
        return found

    def _spreads(self) -> dict[str, list[Array]]:
        states, actions = ({id(of): of for of in each}.values() for each in (
            [moment.states for moment in self.moments], [moment.actions for moment in self.moments],
        ))  # fmt: skip
        return {name: _seen(np.concatenate(list(of))) for name, of in (("state", states), ("action", actions))}


def _best(tried: Sequence[Hypothesis], found: Sequence[Evidence], *, most: int, left: float) -> list[Hypothesis]:
    """Those that leave the least, in their order."""
    worth = [number for number, evidence in enumerate(found) if evidence.frames and evidence.left <= left]
    best = sorted(worth, key=lambda number: found[number].after)[:most]
    return [tried[number] for number in sorted(best)]


PER_AXIS: Final = ("sign", "zero", "order")


def _seen(values: Array) -> list[Array]:
    return [values.mean(0), values.std(0), values.min(0), values.max(0)]
