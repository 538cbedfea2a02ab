"""Rules of `meta/episodes`, the totals and the tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from reflex_learning.validation.rule import Finding, Rule
from reflex_learning.validation.survey import Survey

__all__ = ["RULES"]

SHORTEST_S: Final = 1.0
WRITE_TASKS: Final = "write it anew: a column task_index, and the texts as the index task"
RECOMPUTE: Final = "write it anew from the tables: LeRobot believes it"


def _rows_are_whole(survey: Survey) -> Iterator[Finding]:
    yield from survey.problems.get("episode-rows", ())


def _rows_can_be_read(_survey: Survey) -> Iterator[Finding]:
    """Told of by whoever reads them."""
    yield from ()


def _is_not_empty(survey: Survey) -> Iterator[Finding]:
    if survey.episodes is not None and not any(episode.length > 0 for episode in survey.episodes):
        yield Finding("no episode has a frame")


def _are_numbered(survey: Survey) -> Iterator[Finding]:
    for row, episode in enumerate(survey.rows):
        if episode.number != row:
            yield Finding(f"row {row} of meta/episodes is of episode {episode.number}", episode.table, episode.number)
            return


def _follow_each_other(survey: Survey) -> Iterator[Finding]:
    first = 0
    for episode in survey.rows:
        if (episode.from_index, episode.to_index) != (first, first + episode.length):
            told, counted = f"{episode.from_index} to {episode.to_index}", f"{first} to {first + episode.length}"
            says = f"its frames are said to be {told}; counted, they are {counted}"
            yield Finding(says, episode.table, episode.number)
        first += episode.length


def _totals_are_counted(survey: Survey) -> Iterator[Finding]:
    counted = {
        "episodes": None if survey.episodes is None else len(survey.episodes),
        "frames": sum(table.rows for table in survey.data) if survey.has_all_tables else None,
        "tasks": None if survey.tasks is None else len(survey.tasks),
    }
    for name, number in counted.items():
        if number is not None and survey.info.total(name) != number:
            yield Finding(f"total_{name} is {survey.info.total(name)}; counted, there are {number}", "meta/info.json")


def _split_is_all(survey: Survey) -> Iterator[Finding]:
    splits = survey.info.told.get("splits")
    total = survey.info.total("episodes")
    if splits is not None and splits != {"train": f"0:{total}"}:
        yield Finding(f"splits is {str(splits)[:80]}, and there are {total} episodes", "meta/info.json")


def _are_long_enough(survey: Survey) -> Iterator[Finding]:
    for episode in survey.rows:
        if 0 <= episode.length / survey.info.fps < SHORTEST_S:
            yield Finding(f"it has {episode.length} frames, less than a second", episode.data_file, episode.number)


def _tasks_open(survey: Survey) -> Iterator[Finding]:
    yield from survey.problems.get("tasks-open", ())


def _tasks_are_the_index(survey: Survey) -> Iterator[Finding]:
    yield from survey.problems.get("task-index", ())


def _tasks_are_in_order(survey: Survey) -> Iterator[Finding]:
    for row, (number, text) in enumerate(survey.tasks or ()):
        if number != row:
            yield Finding(f"row {row} is task {number} ({text[:60]!r}): LeRobot would give it the text of another")
            return


def _tasks_have_words(survey: Survey) -> Iterator[Finding]:
    for number, text in survey.tasks or ():
        if not text.strip():
            yield Finding(f"task {number} has no text")


def _tasks_are_different(survey: Survey) -> Iterator[Finding]:
    counts = Counter(" ".join(text.lower().split()) for _, text in survey.tasks or () if text.strip())
    for text, count in counts.items():
        if count > 1:
            yield Finding(f"{text[:80]!r} is there {count} times, in capitals and spaces at most different")


RULES: Final = (
    Rule(
        "episode-rows",
        "error",
        "meta/episodes has every column and value that LeRobot reads",
        "convert or record the dataset anew",
        _rows_are_whole,
    ),
    Rule("table-rows", "error", "every row of every table can be read", "copy the table anew", _rows_can_be_read),
    Rule("not-empty", "error", "there is a frame to learn from", "record an episode", _is_not_empty),
    Rule(
        "episode-numbers",
        "error",
        "episodes are numbered from 0 without a gap",
        "number them anew, in meta/episodes and in the tables",
        _are_numbered,
    ),
    Rule(
        "episode-ranges",
        "error",
        "dataset_from_index and dataset_to_index are the running sum of the lengths",
        RECOMPUTE,
        _follow_each_other,
    ),
    Rule("totals", "error", "the totals of meta/info.json are those counted", RECOMPUTE, _totals_are_counted),
    Rule(
        "splits",
        "warning",
        "the split train is all episodes",
        'write "splits": {"train": "0:<episodes>"}',
        _split_is_all,
    ),
    Rule(
        "short-episodes",
        "warning",
        "every episode is a second long at least",
        "delete it, or record it anew",
        _are_long_enough,
    ),
    Rule(
        "tasks-open",
        "error",
        "meta/tasks.parquet can be read",
        WRITE_TASKS,
        _tasks_open,
    ),
    Rule(
        "task-index",
        "error",
        "the texts of meta/tasks.parquet are the index that pandas knows",
        WRITE_TASKS,
        _tasks_are_the_index,
    ),
    Rule(
        "task-order",
        "error",
        "row i of meta/tasks.parquet is task i",
        "sort its rows by task_index",
        _tasks_are_in_order,
    ),
    Rule("task-texts", "error", "every task has a text", "write what the robot was told to do", _tasks_have_words),
    Rule(
        "task-twice", "warning", "no two tasks say the same", "give their frames one task_index", _tasks_are_different
    ),
)
