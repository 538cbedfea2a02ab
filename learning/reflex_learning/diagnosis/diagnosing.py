"""A diagnosis from beginning to end: compare, replay, and look at the answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from reflex.client import ReflexClient
from reflex.errors import SetupError
from reflex_learning.diagnosis.asking import Asker
from reflex_learning.diagnosis.comparing import Fit, fit_of, pictures_compared
from reflex_learning.diagnosis.hypotheses import Hypothesis
from reflex_learning.diagnosis.moments import Moment, choose_places, read_moments
from reflex_learning.diagnosis.observing import guarded, seams, slow, too_narrow, unskilled
from reflex_learning.diagnosis.replaying import Replay
from reflex_learning.diagnosis.report import Diagnosis, Finding
from reflex_learning.diagnosis.scoring import frame_errors, profile, scale_of
from reflex_learning.diagnosis.served import Served, parse_served
from reflex_learning.reading.dataset import Dataset, open_dataset

__all__ = ["FRAMES", "MOST_FRAMES", "Plan", "diagnose"]

FRAMES: Final = 48
MOST_FRAMES: Final = 512
FEWEST_FRAMES: Final = 24
LIMIT_S: Final = 600.0
MOST_TEXTS: Final = 8
SEAMS: Final = 12
ACTIONS_CHANGED: Final = ("units", "zero", "sign", "order", "gripper", "statistics")
"""By which limits of the recorded actions mean nothing."""

Progress = Callable[[int], None]
"""Told how many requests were answered."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked, and in whose place. `cameras` gives the dataset's camera for some of the policy's."""

    frames: int = FRAMES
    seed: int = 0
    limit_s: float = LIMIT_S
    instruction: str | None = None
    cameras: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not FEWEST_FRAMES <= self.frames <= MOST_FRAMES:
            raise SetupError(f"{self.frames} frames cannot be asked about; give {FEWEST_FRAMES} to {MOST_FRAMES}")
        if not (math.isfinite(self.limit_s) and self.limit_s > 0):
            raise SetupError(f"{self.limit_s} s is no time; give more than 0")


def diagnose(
    client: ReflexClient, server: str, root: Path, plan: Plan | None = None, progress: Progress | None = None
) -> Diagnosis:
    """Of the policy behind `client`, called `server` in the report. Raises `DatasetError`, and as a client does."""
    plan = plan or Plan()
    dataset, served = open_dataset(root), parse_served(client.config())
    diagnosis = Diagnosis(server, str(root), served.policy_id, axes=served.robot.action_names)
    fit = fit_of(served, dataset, plan.cameras)
    diagnosis.findings += fit.findings
    diagnosis.notes += fit.notes
    if not fit.is_blocked:
        asker = Asker(client, served, time.monotonic() + plan.limit_s, progress or _silent, plan.instruction)
        _replay(diagnosis, dataset, fit, asker, plan)
    return diagnosis


def _silent(_: int) -> None:
    """Nobody listens."""


def _replay(diagnosis: Diagnosis, dataset: Dataset, fit: Fit, asker: Asker, plan: Plan) -> None:
    moments = _moments(dataset, fit, asker.served, plan)
    diagnosis.findings += pictures_compared(moments)
    diagnosis.frames = len(moments)
    scale = scale_of([moment.actions for moment in moments])
    replay = Replay(asker, moments, scale, _texts(dataset, moments, plan))
    try:
        _ask(diagnosis, replay)
    except TimeoutError:
        told = f"the time of {plan.limit_s:g} s was over after {asker.requests:,} requests: not everything was tried"
        diagnosis.notes.append(told)
    diagnosis.requests = asker.requests


def _moments(dataset: Dataset, fit: Fit, served: Served, plan: Plan) -> list[Moment]:
    places = choose_places(dataset, plan.frames, served.horizon, plan.seed)
    found = dict(read_moments(dataset, places, fit.cameras))
    return [found[place] for place in places]


def _texts(dataset: Dataset, moments: Sequence[Moment], plan: Plan) -> list[str]:
    """Those of the dataset; where all frames have the same one and nothing else was given, the others alone."""
    used = {moment.instruction for moment in moments} if plan.instruction is None else {plan.instruction}
    texts = [text for _, text in dataset.tasks]
    return [text for text in dict.fromkeys(texts) if len(used) > 1 or text not in used][:MOST_TEXTS]


def _ask(diagnosis: Diagnosis, replay: Replay) -> None:
    moments, asker = replay.moments, replay.asker
    recorded = replay.recorded(moments)
    chunks = replay.taken(moments)
    if np.isnan(chunks).all():
        raise asker.failures[-1]
    _measure(diagnosis, replay, chunks, recorded)
    undone: list[Hypothesis] = []
    found: list[Finding] = []
    is_rate_known = any(finding.kind == "frame-rate" for finding in diagnosis.findings)
    for finding, hypothesis in replay.find(diagnosis.trials):
        if not (is_rate_known and finding.kind == "playback-rate"):
            found.append(finding)
        undone.append(hypothesis)
    left = float(np.nanmean(replay.errors(moments, tuple(undone))))
    are_actions_as_recorded = not any(each.kind.endswith(ACTIONS_CHANGED) for each in undone)
    narrow = list(too_narrow(asker.served.robot, moments)) if are_actions_as_recorded else []
    # Limits that the recorded actions break explain every error; of the rest, what explains a part alone comes last.
    diagnosis.findings += [*([] if narrow else unskilled(diagnosis, left)), *found, *narrow]
    if are_actions_as_recorded and not narrow:
        diagnosis.findings += guarded(asker, moments, undone, diagnosis)
    diagnosis.findings += seams(asker, moments[:SEAMS], undone, diagnosis)
    diagnosis.findings += slow(asker, diagnosis)


def _measure(diagnosis: Diagnosis, replay: Replay, chunks: np.ndarray, recorded: np.ndarray) -> None:  # type: ignore[type-arg]
    scale = replay.scale
    mean = np.broadcast_to(np.concatenate([moment.actions for moment in replay.moments]).mean(0), recorded.shape)
    each = profile(chunks, recorded, scale)
    diagnosis.error = round(float(np.nanmean(frame_errors(chunks, recorded, scale))), 4)
    diagnosis.mean_error = round(float(np.nanmean(frame_errors(np.array(mean), recorded, scale))), 4)
    diagnosis.error_by_axis = [round(float(value), 4) for value in np.nanmean(each, axis=(0, 1))]
    diagnosis.error_by_step = [round(float(value), 4) for value in np.nanmean(each, axis=(0, 2))]
