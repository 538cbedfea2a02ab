"""Rules of the rows of one episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from reflex_learning.reading.episodes import Episode
from reflex_learning.reading.frames import Frames
from reflex_learning.reading.tables import Array
from reflex_learning.validation.rule import Finding, Rule, first_difference
from reflex_learning.validation.survey import Survey

__all__ = ["RULES", "Part"]

TOLERANCE_S: Final = 1e-4
"""LeRobot's: beyond it a frame of a video is not found."""
MARGIN: Final = 0.05
"""Of an axis' range: an arm reads a little beyond its end stops."""
STEP_MARGIN: Final = 1.05
SPIKE: Final = 0.5
BACK: Final = 0.1
STATE, ACTION = "observation.state", "action"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one episode: all of it, or of a very long one a part."""

    survey: Survey
    frames: Frames
    episode: Episode | None
    """What `meta/episodes` says of it."""

    def at(self, says: str, row: int | None = None) -> Finding:
        frame = None if row is None else self.frames.before + row
        return Finding(says, self.frames.file, self.frames.episode, frame)

    @property
    def vectors(self) -> dict[str, Array]:
        """State and action where all of it is finite."""
        found = {name: self.frames.columns[name] for name in (STATE, ACTION) if name in self.frames.columns}
        return {name: values for name, values in found.items() if np.isfinite(values).all()}


def _unlike(found: Array | None, wanted: Array, tolerance: float = 0.0) -> Iterator[int]:
    if found is not None:
        yield from list(first_difference(~(np.abs(found - wanted) <= tolerance)))[:1]


def _frame_index_counts(part: Part) -> Iterator[Finding]:
    wanted = part.frames.before + np.arange(part.frames.length)
    found = part.frames.scalar("frame_index")
    for row in _unlike(found, wanted):
        yield part.at(f"frame_index is {found[row]:g}; counted, it is {wanted[row]}", row)  # type: ignore[index]


def _index_counts(part: Part) -> Iterator[Finding]:
    wanted = part.frames.first_row + np.arange(part.frames.length)
    found = part.frames.scalar("index")
    for row in _unlike(found, wanted):
        yield part.at(f"index is {found[row]:g}; counted, it is {wanted[row]}", row)  # type: ignore[index]


def _timestamps_are_even(part: Part) -> Iterator[Finding]:
    wanted = (part.frames.before + np.arange(part.frames.length)) / part.survey.info.fps
    found = part.frames.scalar("timestamp")
    tolerance = max(TOLERANCE_S, float(np.spacing(np.float32(wanted[-1]))))
    for row in _unlike(found, wanted, tolerance):
        yield part.at(f"timestamp is {found[row]:.5f} s; at {part.survey.info.fps:g} Hz it is {wanted[row]:.5f}", row)  # type: ignore[index]


def _values_are_finite(part: Part) -> Iterator[Finding]:
    for name, values in part.frames.columns.items():
        if name.startswith(("action", "observation", "next")):
            for row in list(first_difference(~np.isfinite(values).all(axis=1)))[:1]:
                yield part.at(f"{name} holds a NaN, an infinity or nothing", row)


def _tasks_exist(part: Part) -> Iterator[Finding]:
    numbers = part.frames.scalar("task_index")
    if part.survey.tasks is not None and numbers is not None:
        known = len(part.survey.tasks)
        for row in list(first_difference(~((numbers >= 0) & (numbers < known))))[:1]:
            yield part.at(f"task_index is {numbers[row]:g}, and there are {known} tasks", row)


def _lie_in_their_file(part: Part) -> Iterator[Finding]:
    if part.episode is not None and part.episode.data_file != part.frames.file:
        yield part.at(f"its rows are here, and in {part.episode.data_file} by meta/episodes")


def _action_is_no_copy(part: Part) -> Iterator[Finding]:
    found = part.vectors
    if len(found) == 2 and np.array_equal(found[STATE], found[ACTION]):
        yield part.at("every action is the state of the same frame")


def _action_moves(part: Part) -> Iterator[Finding]:
    action = part.vectors.get(ACTION)
    if action is not None and len(action) > 1 and not np.ptp(action, axis=0).any():
        yield part.at("no action differs from the first")


def _has_no_spikes(part: Part) -> Iterator[Finding]:
    for name, values in part.vectors.items():
        reach = np.ptp(values, axis=0)
        steps = np.abs(np.diff(values, axis=0))
        back = np.abs(values[2:] - values[:-2])
        jumps = (steps[:-1] > SPIKE * reach) & (steps[1:] > SPIKE * reach) & (back < BACK * reach)
        for row in list(first_difference(jumps.any(axis=1)))[:1]:
            yield part.at(f"{name} jumps away for one frame", row + 1)


def _steps_are_possible(part: Part) -> Iterator[Finding]:
    robot, action = part.survey.embodiment, part.vectors.get(ACTION)
    if robot is None or action is None or len(action) < 2:
        return
    most = np.array(robot.action_max_step) * robot.control_hz / part.survey.info.fps * STEP_MARGIN
    steps = np.abs(np.diff(action, axis=0))
    for row in list(first_difference((steps > most).any(axis=1)))[:1]:
        axis = int(np.argmax(steps[row] / most))
        moves = f"{robot.action_names[axis]} moves by {steps[row, axis]:.3g} in a frame"
        yield part.at(f"{moves}; {robot.name} can by {most[axis]:.3g}", row + 1)


def _values_are_reachable(part: Part) -> Iterator[Finding]:
    robot = part.survey.embodiment
    if robot is None:
        return
    low, high = np.array(robot.action_low), np.array(robot.action_high)
    beyond = MARGIN * (high - low)
    for name, values in part.vectors.items():
        if name == STATE and robot.state_names != robot.action_names:
            continue
        outside = (values < low - beyond) | (values > high + beyond)
        for row in list(first_difference(outside.any(axis=1)))[:1]:
            axis = int(np.argmax(outside[row]))
            found = f"{name}: {robot.action_names[axis]} is {values[row, axis]:.4g}"
            yield part.at(f"{found}, and {robot.name} reaches {low[axis]:g} to {high[axis]:g}", row)


WRITE: Final = "write the column anew"
RULES: Final = (
    Rule("frame-index", "error", "frame_index counts from 0 in every episode", WRITE, _frame_index_counts),
    Rule("index", "error", "row i has the index i", WRITE, _index_counts),
    Rule(
        "timestamps",
        "error",
        "timestamp is frame_index / fps",
        "write the column anew, or the rate at which it was recorded",
        _timestamps_are_even,
    ),
    Rule(
        "finite",
        "error",
        "state and action are finite numbers",
        "delete the episode, or record it anew",
        _values_are_finite,
    ),
    Rule("task-range", "error", "every task_index has a task", "write the task, or another number", _tasks_exist),
    Rule(
        "episode-file",
        "error",
        "rows lie in the file that meta/episodes names",
        "write data/chunk_index and data/file_index of meta/episodes anew",
        _lie_in_their_file,
    ),
    Rule(
        "action-is-state",
        "warning",
        "actions are more than a copy of the state",
        "record what the leader arm or the policy commanded",
        _action_is_no_copy,
    ),
    Rule(
        "action-idle",
        "warning",
        "the action changes in every episode",
        "delete the episode: it teaches to stand still",
        _action_moves,
    ),
    Rule(
        "spikes",
        "warning",
        "no value jumps away for one frame and back",
        "look at the frame; a cable or a bus may be loose",
        _has_no_spikes,
    ),
    Rule(
        "action-jumps",
        "warning",
        "no action is further than the robot moves in a frame",
        "look at the frame; at the seams of joined episodes it stands still first",
        _steps_are_possible,
    ),
    Rule(
        "embodiment-limits",
        "warning",
        "state and action are within the robot's reach",
        "compare units and zero with the robot's: docs of its embodiment",
        _values_are_reachable,
    ),
)
