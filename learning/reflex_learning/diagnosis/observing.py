"""What the answers themselves show, once what a replay found is put right: guard, seams, latency, and no skill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment
from reflex_learning.diagnosis.asking import Asker
from reflex_learning.diagnosis.hypotheses import Hypothesis
from reflex_learning.diagnosis.moments import Moment
from reflex_learning.diagnosis.report import Diagnosis, Finding
from reflex_learning.diagnosis.served import Served

__all__ = ["guarded", "seams", "slow", "too_narrow", "unskilled"]

Array = npt.NDArray[np.float64]

OFTEN: Final = 0.1
"""Share of the recorded frames beyond a limit, on one axis."""
MOSTLY: Final = 0.5
"""Share of the answers that the guard changes."""
QUICKEST: Final = 0.25
"""Of the round trips: a machine that is busy now and then is not a slow server."""
NO_BETTER: Final = 0.8
"""Of the error that the mean of the recorded actions has."""
TOUCH: Final = 1e-3
"""Share of an axis' range by which an action at its limit may be beyond it."""
OTHER_NOISE: Final = 7_919


def too_narrow(robot: Embodiment, moments: Sequence[Moment]) -> Iterator[Finding]:
    """Where recorded actions are beyond the limits, whatever the policy answers."""
    actions = np.concatenate(list({id(moment.actions): moment.actions for moment in moments}.values()))
    low, high = np.array(robot.action_low), np.array(robot.action_high)
    beyond = ((actions < low - TOUCH * (high - low)) | (actions > high + TOUCH * (high - low))).mean(0)
    if beyond.max() >= OFTEN:
        axis = int(beyond.argmax())
        told = f"{beyond[axis]:.0%} of what was recorded is beyond {low[axis]:g} to {high[axis]:g}"
        yield Finding("guard", f"{robot.action_names[axis]}: {told}")


def guarded(
    asker: Asker, moments: Sequence[Moment], undone: Sequence[Hypothesis], diagnosis: Diagnosis
) -> Iterator[Finding]:
    """Where most answers are changed."""
    clamped = asker.clamped(moments, undone)
    changed = Counter(name for axes in clamped for name in axes)
    share = sum(bool(axes) for axes in clamped) / max(1, len(clamped))
    if share:
        diagnosis.notes.append(f"the guard changed {share:.0%} of the answers")
    if share >= MOSTLY:
        yield Finding("guard", f"{changed.most_common(1)[0][0]}: {share:.0%} of the answers are changed")


def seams(
    asker: Asker, moments: Sequence[Moment], undone: Sequence[Hypothesis], diagnosis: Diagnosis
) -> Iterator[Finding]:
    """Jumps from the last executed action to the next chunk's first, as a robot asks: each time with other noise."""
    robot, ahead = asker.served.robot, asker.served.executed
    jumps, steps = [], []
    for moment in moments:
        if moment.place.frame + ahead >= len(moment.states):
            continue
        first = asker.chunk(moment, undone)
        again = asker.chunk(moment, undone, seed=OTHER_NOISE)
        jumps.append(_largest(again[0] - first[0], robot.action_max_step))
        steps.append(_largest(np.diff(moment.recorded(2), axis=0)[0], robot.action_max_step))
    if not np.isfinite(jumps).any():
        return
    diagnosis.seam = float(np.nanmedian(jumps))
    if diagnosis.seam > max(1.0, 2 * float(np.nanmedian(steps))):
        yield Finding(
            "seams", f"chunks for one and the same frame begin {diagnosis.seam:.1f} of the robot's largest steps apart"
        )


def _largest(change: Array, most: Sequence[float]) -> float:
    return float(np.max(np.abs(change) / np.array(most)))


def slow(asker: Asker, diagnosis: Diagnosis) -> Iterator[Finding]:
    if not asker.round_trips_s:
        return
    served: Served = asker.served
    lasts_s = served.executed / served.robot.control_hz
    diagnosis.latency_ms = round(1000 * float(np.median(asker.round_trips_s)), 2)
    quick_s = float(np.quantile(asker.round_trips_s, QUICKEST))
    if quick_s > lasts_s:
        meanwhile = f"{served.executed} actions at {served.robot.control_hz:g} Hz last {1000 * lasts_s:.0f} ms"
        yield Finding("latency", f"{1000 * quick_s:.0f} ms, and {meanwhile}")


def unskilled(diagnosis: Diagnosis, left: float) -> Iterator[Finding]:
    """`left` is the error with everything undone that was found."""
    mean = diagnosis.mean_error
    if mean is not None and left >= NO_BETTER * mean:
        yield Finding("unexplained", f"{left:.2f} against {mean:.2f}")
