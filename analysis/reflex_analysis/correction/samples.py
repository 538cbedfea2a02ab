"""From episodes to what a head learns: how far the action of a stale chunk is from what the policy says later.

Three requests of an episode make samples: one whose chunk is the stale one, one whose state is the newest that is
known, and the last one before the action is due, which says what it should have been. Two of them may be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.errors import SetupError
from reflex_analysis.correction.recorded import Observed, Recorded

__all__ = ["LEAST_SAMPLES", "Samples", "samples_of"]

Array = npt.NDArray[np.float32]

MOST_SAMPLES: Final = 100_000
LEAST_SAMPLES: Final = 400
LEAST_OF_A_CHUNK: Final = 8
HELD_OUT_SHARE: Final = 0.2
EPISODES_TO_HOLD_OUT: Final = 5
"""With fewer, the last part of every episode is held out instead of whole ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One row each, robot units."""

    states: Array
    """The newest ones."""
    actions: Array
    """Of the stale chunk."""
    leads: Array
    """Steps from that state to the action."""
    ages: Array
    """Steps from the chunk's observation to that state."""
    targets: Array
    """What is missing to the action that the policy said later."""
    is_held_out: npt.NDArray[np.bool_]

    def part(self, rows: npt.NDArray[np.bool_]) -> Samples:
        """Some of them."""
        return Samples(
            self.states[rows], self.actions[rows], self.leads[rows], self.ages[rows], self.targets[rows],
            self.is_held_out[rows],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class _Moment:
    """An action of a stale chunk: by which requests, and its step in the chunk of the last one."""

    newest: int
    fresh: int
    step: int


def samples_of(recorded: Recorded, reach_steps: int, seed: int) -> Samples:
    """At most `MOST_SAMPLES`, from all chunks alike; `SetupError` where there are too few to learn from."""
    random = np.random.default_rng(seed)
    of_each = max(LEAST_OF_A_CHUNK, MOST_SAMPLES // recorded.requests)
    held_out = _held_out_episodes(len(recorded.episodes), random)
    rows: list[tuple[object, ...]] = []
    for number, episode in enumerate(recorded.episodes):
        offsets = [(one.at - episode[0].at) * recorded.control_hz for one in episode]
        for stale in range(len(episode)):
            is_late = stale >= (1.0 - HELD_OUT_SHARE) * len(episode)
            is_held_out = is_late if held_out is None else number in held_out
            moments = list(_moments(episode, offsets, stale, reach_steps))
            chosen = _some(moments, of_each, random)
            rows.extend((*_row(episode, offsets, stale, moment), is_held_out) for moment in chosen)
    _refuse_too_few(recorded, rows, reach_steps)
    columns = [np.asarray(column, np.float32) for column in list(zip(*rows, strict=True))[:-1]]
    states, actions, leads, ages, targets = columns
    return Samples(states, actions, leads, ages, targets, np.array([bool(row[-1]) for row in rows]))


def _moments(episode: Sequence[Observed], offsets: Sequence[float], stale: int, reach: int) -> Iterator[_Moment]:
    """Every action of the chunk that a later request has something to say of, and the fresh ones of its own."""
    horizon = len(episode[stale].chunk)
    last = min(reach, horizon - 1)
    for fresh in range(stale, len(episode)):
        begins = round(offsets[fresh] - offsets[stale])
        if begins > last:
            return
        if fresh != stale and (begins == 0 or not episode[fresh].is_free):
            continue
        ends = begins + 1 if fresh + 1 == len(episode) else round(offsets[fresh + 1] - offsets[stale])
        for step in range(min(ends, last + 1) - begins):
            yield from (_Moment(newest, fresh, step) for newest in range(stale, fresh + 1))


def _some(moments: Sequence[_Moment], most: int, random: np.random.Generator) -> Iterator[_Moment]:
    chosen = range(len(moments)) if len(moments) <= most else random.choice(len(moments), most, replace=False)
    yield from (moments[int(index)] for index in chosen)


def _row(episode: Sequence[Observed], offsets: Sequence[float], stale: int, moment: _Moment) -> tuple[object, ...]:
    begins = round(offsets[moment.fresh] - offsets[stale])
    age = min(round(offsets[moment.newest] - offsets[stale]), begins + moment.step)
    action = episode[stale].chunk[begins + moment.step]
    target = episode[moment.fresh].chunk[moment.step] - action
    return episode[moment.newest].state, action, [begins + moment.step - age], [age], target


def _held_out_episodes(count: int, random: np.random.Generator) -> frozenset[int] | None:
    if count < EPISODES_TO_HOLD_OUT:
        return None
    return frozenset(random.permutation(count)[: max(1, round(HELD_OUT_SHARE * count))].tolist())


def _refuse_too_few(recorded: Recorded, rows: Sequence[tuple[object, ...]], reach: int) -> None:
    held_out = sum(bool(row[-1]) for row in rows)
    later = sum(bool(np.any(np.asarray(row[4]))) for row in rows)
    if not later:
        raise SetupError(
            f"no request came within {reach} steps of another one of its episode and said anything else; record a "
            "robot that asks again before its chunk is over, without --rtc, or raise --reach-ms"
        )
    if len(rows) - held_out < LEAST_SAMPLES or not held_out:
        raise SetupError(
            f"{len(rows)} actions of {recorded.requests} requests are too few to learn from; record at least "
            f"{LEAST_SAMPLES} in several episodes"
        )
