"""What is known of a dataset before a frame is looked at; what could not be read is kept as findings of its rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from reflex.datasets.layout import DATA_FOLDER, EPISODES_FOLDER, STATS_FILE
from reflex.embodiments import Embodiment, bundled_embodiments, load_embodiment
from reflex_learning.errors import DatasetError
from reflex_learning.reading.episodes import Episode, read_episodes, tables_in
from reflex_learning.reading.info import Info
from reflex_learning.reading.places import files_under, read_object
from reflex_learning.reading.tables import open_table
from reflex_learning.reading.tasks import check_task_index, read_tasks
from reflex_learning.validation.rule import Finding

__all__ = ["Survey", "TableFacts", "survey_of"]

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One parquet file: how many rows, and the type of each column."""

    file: str
    rows: int
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Survey:
    """`episodes`, `tasks` and `stats` are None where they could not be read."""

    root: Path
    info: Info
    files: tuple[str, ...]
    data: tuple[TableFacts, ...]
    episodes: tuple[Episode, ...] | None
    tasks: tuple[tuple[int, str], ...] | None
    stats: Mapping[str, Any] | None
    problems: Mapping[str, list[Finding]] = field(default_factory=dict)
    """By id of the rule that tells of them."""

    @property
    def rows(self) -> tuple[Episode, ...]:
        """Of `meta/episodes`; none where they could not be read."""
        return self.episodes or ()

    @property
    def has_all_tables(self) -> bool:
        """Else nothing can be said of all frames."""
        known = {table.file for table in self.data}
        return "tables-open" not in self.problems and all(episode.data_file in known for episode in self.rows)

    @property
    def embodiment(self) -> Embodiment | None:
        """The robot, where it is one that Reflex knows and the axes have its names."""
        name = (self.info.robot_type or "").removesuffix("_follower")
        if name not in bundled_embodiments():
            return None
        found = load_embodiment(name)
        action = self.info.features.get("action")
        labels = () if action is None else tuple(label.removesuffix(".pos") for label in action.labels)
        return found if labels == found.action_names else None


def survey_of(root: Path, info: Info) -> Survey:
    problems: dict[str, list[Finding]] = defaultdict(list)
    files = tuple(files_under(root, "."))
    data = [
        _try(partial(_facts, root, table), problems, "tables-open", table) for table in tables_in(root, DATA_FOLDER)
    ]
    rows = [
        _try(partial(_facts, root, table), problems, "tables-open", table) for table in tables_in(root, EPISODES_FOLDER)
    ]
    cameras = [feature.name for feature in info.videos]
    read = partial(read_episodes, root, cameras)
    episodes = None if None in rows else _try(read, problems, "episode-rows", EPISODES_FOLDER)
    tasks = _try(partial(read_tasks, root), problems, "tasks-open", None)
    if tasks is not None:
        _try(partial(check_task_index, root), problems, "task-index", None)
    stats = _try(partial(read_object, root, STATS_FILE), problems, "stats-open", None)
    known = tuple(facts for facts in data if facts is not None)
    return Survey(root, info, files, known, episodes, tasks, stats, problems)


def _try(read: Callable[[], Read], problems: dict[str, list[Finding]], rule: str, file: str | None) -> Read | None:
    try:
        return read()
    except DatasetError as exc:
        problems[rule].append(Finding(str(exc), file))
        return None


def _facts(root: Path, table: str) -> TableFacts:
    with open_table(root, table) as file:
        schema = file.schema_arrow
        return TableFacts(table, file.metadata.num_rows, dict(zip(schema.names, schema.types, strict=True)))
