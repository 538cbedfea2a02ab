"""Rules of all frames together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import tau
from typing import Final

import numpy as np

from reflex_learning.reading.tables import Array
from reflex_learning.validation.rule import Finding, Rule
from reflex_learning.validation.rules.stats import statistic
from reflex_learning.validation.tally import LAGS, Course, Whole

__all__ = ["RULES"]

SATURATED: Final = 0.9
CLOSE: Final = 1e-3
"""Of the spread: how near mean and std of the data are."""
SAME_SPACE: Final = 0.5
"""Actions further from every state than this are no positions, and lag behind nothing."""
CLEARLY: Final = 0.7
RATE: Final = 0.05
FEWEST_EPISODES: Final = 3
FILE: Final = "meta/stats.json"


def _episodes_are_in_order(whole: Whole) -> Iterator[Finding]:
    for place, run in enumerate(whole.tally.runs):
        if run.episode != place:
            yield Finding(f"episode {run.episode} comes where {place} should", run.file, run.episode)
            return
    missing = len(whole.survey.rows) - len(whole.tally.runs)
    if missing > 0 and whole.is_counted:
        yield Finding(f"there are no rows of the last {missing} episodes", None, len(whole.tally.runs))


def _episodes_are_as_long(whole: Whole) -> Iterator[Finding]:
    lengths = {run.episode: run.length for run in whole.tally.runs}
    for episode in whole.survey.rows:
        found = lengths.get(episode.number)
        if found is not None and found != episode.length:
            yield Finding(
                f"it has {found} rows, and {episode.length} by meta/episodes", episode.data_file, episode.number
            )


def _tasks_are_told(whole: Whole) -> Iterator[Finding]:
    texts = dict(whole.survey.tasks or ())
    tasks = {run.episode: run.tasks for run in whole.tally.runs}
    for episode in whole.survey.rows:
        found = {texts[number] for number in tasks.get(episode.number, ()) if number in texts}
        if found and found != set(episode.tasks):
            says = f"its frames mean {sorted(found)}, meta/episodes says {sorted(episode.tasks)}"
            yield Finding(says, episode.table, episode.number)


def _tasks_are_used(whole: Whole) -> Iterator[Finding]:
    used = {number for run in whole.tally.runs for number in run.tasks}
    for number, text in whole.survey.tasks or ():
        if used and number not in used and whole.is_counted:
            yield Finding(f"no frame has task {number} ({text[:60]!r})")


def _compared(whole: Whole, name: str) -> Iterator[tuple[str, Course, Array]]:
    for feature, course in whole.tally.courses.items():
        told = statistic(whole.survey.stats, feature, name)
        is_whole = whole.is_counted and feature not in whole.tally.not_finite
        if is_whole and told is not None and told.shape == course.mean.shape and np.isfinite(told).all():
            yield feature, course, told


def _extremes_are_the_data_s(whole: Whole) -> Iterator[Finding]:
    for name in ("min", "max"):
        for feature, course, told in _compared(whole, name):
            found = course.low if name == "min" else course.high
            if not np.allclose(told, found, rtol=1e-5, atol=1e-6):
                axis = int(np.argmax(np.abs(told - found)))
                yield Finding(f"{name} of {feature} is {told[axis]:.6g}; in the data it is {found[axis]:.6g}", FILE)


def _moments_are_the_data_s(whole: Whole) -> Iterator[Finding]:
    for name in ("mean", "std"):
        for feature, course, told in _compared(whole, name):
            found = course.mean if name == "mean" else course.std
            if (np.abs(told - found) > CLOSE * (course.std + np.abs(found) * CLOSE + 1e-6)).any():
                axis = int(np.argmax(np.abs(told - found)))
                yield Finding(f"{name} of {feature} is {told[axis]:.6g}; in the data it is {found[axis]:.6g}", FILE)


def _counts_are_the_data_s(whole: Whole) -> Iterator[Finding]:
    for feature, course in whole.tally.courses.items():
        told = statistic(whole.survey.stats, feature, "count")
        if told is not None and told.size and whole.is_counted and int(told.ravel()[0]) < course.count:
            yield Finding(f"count of {feature} is {told.ravel()[0]:g}; there are {course.count} frames", FILE)


def _axes_move(whole: Whole) -> Iterator[Finding]:
    for name, course in whole.vectors.items():
        for label, low, high in zip(whole.labels(name), course.low, course.high, strict=False):
            if low == high and course.count > 1:
                yield Finding(f"{name}: {label} is {low:g} in every frame")


def _axes_are_free(whole: Whole) -> Iterator[Finding]:
    for name, course in whole.vectors.items():
        most = np.maximum(course.at_low, course.at_high) / course.count
        for label, share, low, high in zip(whole.labels(name), most, course.low, course.high, strict=False):
            if share > SATURATED and low < high:
                yield Finding(f"{name}: {label} is at its end in {share:.0%} of the frames")


def _quantiles_are_apart(whole: Whole) -> Iterator[Finding]:
    for name, course in whole.vectors.items():
        low, high = (statistic(whole.survey.stats, name, each) for each in ("q01", "q99"))
        if low is None or high is None or not low.shape == high.shape == course.low.shape:
            continue
        for label, flat in zip(whole.labels(name), (low == high) & (course.low < course.high), strict=False):
            if flat:
                yield Finding(f"{name}: {label} moves, but its q01 and q99 are the same", FILE)


def _action_leads(whole: Whole) -> Iterator[Finding]:
    if not whole.tally.lag_frames:
        return
    errors = whole.tally.lag_errors / whole.tally.lag_frames
    behind = [error for lag, error in zip(LAGS, errors, strict=True) if lag < 0]
    ahead = [error for lag, error in zip(LAGS, errors, strict=True) if lag >= 0]
    if min(behind) < min(SAME_SPACE, CLEARLY * min(ahead)):
        frames = -LAGS[int(np.argmin(errors))]
        yield Finding(f"the action is most like the state {frames} frames before it")


def _episodes_differ(whole: Whole) -> Iterator[Finding]:
    first: dict[bytes, int] = {}
    for run in whole.tally.runs:
        earlier = first.setdefault(run.digest, run.episode)
        if earlier != run.episode:
            yield Finding(f"its states and actions are those of episode {earlier}", run.file, run.episode)


def _units_are_the_robot_s(whole: Whole) -> Iterator[Finding]:
    robot = whole.survey.embodiment
    for name, course in whole.vectors.items():
        units = () if robot is None else robot.action_units
        degrees = np.array([unit == "deg" for unit in units])
        if degrees.sum() < 2 or len(degrees) != len(course.low):
            continue
        reach = np.maximum(np.abs(course.low), np.abs(course.high))[degrees]
        if reach.max() <= tau and (course.high - course.low)[degrees].max() > 0:
            yield Finding(
                f"{name}: no joint goes beyond {reach.max():.3g}, which looks like radians; the robot counts degrees"
            )


def _rate_is_real(whole: Whole) -> Iterator[Finding]:
    if whole.tally.periods_s:
        rate = 1 / max(1e-9, float(np.median(whole.tally.periods_s)))
        if abs(rate / whole.survey.info.fps - 1) > RATE:
            yield Finding(f"fps is {whole.survey.info.fps:g}, and frames were measured at {rate:.3g} a second")


def _cameras_differ(whole: Whole) -> Iterator[Finding]:
    shown = whole.tally.shown
    for (camera, episode), digest in shown.items():
        for feature in whole.survey.info.cameras:
            if feature.name > camera and shown.get((feature.name, episode)) == digest:
                yield Finding(f"{camera} and {feature.name} show the same", None, episode)


def _cameras_stay(whole: Whole) -> Iterator[Finding]:
    """An episode's pictures of two cameras, each nearer to what the other shows in all other episodes."""
    seen = whole.tally.brightness
    for one, two in combinations(sorted({camera for camera, _ in seen}), 2):
        numbers = sorted({number for camera, number in seen if camera == one} & {n for c, n in seen if c == two})
        if len(numbers) < FEWEST_EPISODES:
            continue
        usual = {camera: np.median([seen[camera, number] for number in numbers], axis=0) for camera in (one, two)}
        for number in numbers:
            straight = _apart(seen[one, number], usual[one]) + _apart(seen[two, number], usual[two])
            crossed = _apart(seen[one, number], usual[two]) + _apart(seen[two, number], usual[one])
            if crossed < 0.5 * straight:
                yield Finding(f"{one} and {two} show what the other shows elsewhere", None, number)


def _apart(one: Array, two: Array) -> float:
    return float(np.abs(one - two).mean())


STATS: Final = "compute them anew: reflex datasets stats"
RULES: Final = (
    Rule(
        "episode-order",
        "error",
        "rows of the episodes follow each other, each episode once",
        "sort the tables' rows, and number the episodes anew",
        _episodes_are_in_order,
    ),
    Rule(
        "episode-lengths",
        "error",
        "an episode has as many rows as meta/episodes says",
        "write its length anew, or copy the table anew",
        _episodes_are_as_long,
    ),
    Rule(
        "episode-tasks",
        "error",
        "meta/episodes names the tasks of its frames",
        "write tasks of meta/episodes anew",
        _tasks_are_told,
    ),
    Rule(
        "task-unused",
        "warning",
        "every task has a frame",
        "delete the task, and number the others anew",
        _tasks_are_used,
    ),
    Rule("stats-range", "error", "min and max are those of the data", STATS, _extremes_are_the_data_s),
    Rule("stats-moments", "error", "mean and std are those of the data", STATS, _moments_are_the_data_s),
    Rule("stats-count", "warning", "count is the number of frames", STATS, _counts_are_the_data_s),
    Rule(
        "constant-axis",
        "warning",
        "every axis of state and action moves",
        "leave the axis out: a later change of it counts a million times",
        _axes_move,
    ),
    Rule(
        "saturated-axis",
        "warning",
        "no axis is at its end nearly always",
        "look whether the axis works",
        _axes_are_free,
    ),
    Rule(
        "flat-quantiles",
        "warning",
        "q01 and q99 of what moves differ",
        "train with mean and std, or leave the axis out",
        _quantiles_are_apart,
    ),
    Rule(
        "action-lags",
        "warning",
        "the state follows the action, not the other way round",
        "state and action may be swapped, or shifted by a frame",
        _action_leads,
    ),
    Rule("episode-twice", "warning", "no episode is another's copy", "delete one of them", _episodes_differ),
    Rule(
        "units",
        "warning",
        "joints of a robot that counts degrees are in degrees",
        "multiply by 180 / pi, or name the robot's embodiment",
        _units_are_the_robot_s,
    ),
    Rule(
        "real-rate",
        "warning",
        "frames were measured at the declared rate",
        "write the true fps, and timestamps by it",
        _rate_is_real,
    ),
    Rule(
        "camera-twice",
        "warning",
        "no two cameras show the same",
        "look which camera was plugged in twice",
        _cameras_differ,
    ),
    Rule(
        "camera-swap",
        "warning",
        "cameras show in every episode what they show in the others",
        "swap the episode's videos back",
        _cameras_stay,
    ),
)
