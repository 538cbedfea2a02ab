"""Which frames are kept, and why others are not: decided by what the validator found and what the columns say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Final

from reflex_learning.reading.episodes import Clip, Episode
from reflex_learning.reading.info import Info
from reflex_learning.repair.clips import Films
from reflex_learning.repair.runs import Run, runs_of
from reflex_learning.repair.texts import Texts
from reflex_learning.validation.report import Report
from reflex_learning.validation.survey import Survey

__all__ = ["Dropped", "Kept", "Plan", "plan_of"]

BREAKING: Final = (
    "finite", "data-files", "tables-open", "table-rows", "video-files", "video-opens", "video-decodes", "video-size",
    "video-rate", "picture-decodes", "picture-size",
)  # fmt: skip
"""Rules of what nothing can give back: the episodes in which they do not hold are left out."""
SHORTEST_S: Final = 1.0
"""What is left of an episode is kept from this on."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """`frames` of `episode`, by their numbers in the old dataset, the last of them included; None: all of them."""

    episode: int | None
    file: str | None
    frames: tuple[int, int] | None
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The first `length` rows of a run, and where its pictures begin in the videos."""

    run: Run
    length: int
    clips: Mapping[str, Clip]
    tasks: Mapping[int, str]
    """Texts of the numbers that its frames have."""


@dataclass
class Plan:
    kept: list[Kept] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return sum(each.length for each in self.kept)


def plan_of(root: Path, info: Info, survey: Survey, report: Report) -> Plan:
    """By `report`, which holds every finding."""
    return _Planner(root, info, survey, report).plan()


class _Planner:
    def __init__(self, root: Path, info: Info, survey: Survey, report: Report) -> None:
        self._info = info
        named = {episode.data_file for episode in survey.rows}
        self._strays = [table.file for table in survey.data if survey.rows and table.file not in named]
        files = [table.file for table in survey.data if table.file not in self._strays]
        self._runs, self._unread = runs_of(root, files)
        self._rows = survey.rows
        if not info.videos and not survey.rows:
            self._rows = tuple(_row_of(each[0]) for each in self._runs.values())
        self._films = Films(root, info.fps)
        self._texts = Texts(survey)
        self._places = _places(survey, report, files)
        self._reasons = _reasons(report, self._rows)

    def plan(self) -> Plan:
        plan = Plan()
        seen: set[int] = set()
        for episode in self._rows:
            twice = "meta/episodes names it twice" if episode.number in seen else ""
            seen.add(episode.number)
            _take(plan, episode, twice or self._kept(episode))
        unnamed = sorted(self._runs.keys() - seen)
        plan.dropped += [Dropped(each, None, None, "meta/episodes does not name it") for each in unnamed]
        plan.dropped += [Dropped(None, file, None, "it belongs to no episode") for file in self._strays]
        _separate(plan, self._info.fps)
        return plan

    def _kept(self, episode: Episode) -> Kept | str:
        """Or why it cannot be kept."""
        run = self._run(episode)
        if isinstance(run, str):
            return run
        clips = self._placed(episode)
        if isinstance(clips, str):
            return clips
        whole = min([run.length, *(self._films.whole(each, run.length) for each in clips.values())])
        if whole < run.length and whole < SHORTEST_S * self._info.fps:
            return f"its videos have pictures of {whole} of its {run.length} frames"
        tasks = self._tasks(run, episode)
        return tasks if isinstance(tasks, str) else Kept(run, whole, clips, tasks)

    def _run(self, episode: Episode) -> Run | str:
        runs = self._runs.get(episode.number, [])
        reason = self._reasons.get(episode.number) or self._unread.get(episode.data_file)
        if reason is not None:
            return reason
        if len(runs) != 1:
            return f"its rows lie in {len(runs)} places" if runs else "no table has rows of it"
        run, has_video = runs[0], bool(episode.clips)
        first = run.first + self._places.get(run.file, 0)
        if has_video and self._places and first != episode.from_index:
            told = f"its rows begin at {first}, and at {episode.from_index} by meta/episodes"
            return f"{told}: whose pictures they are is unclear"
        return run.broken(self._info.fps, has_video=has_video) or run

    def _placed(self, episode: Episode) -> dict[str, Clip] | str:
        placed = {}
        for camera, clip in episode.clips.items():
            begin_s = self._films.begin(clip)
            if begin_s is None:
                return f"{camera}: {clip.file} has no frame at {clip.from_s:.3f} s, where it should begin"
            placed[camera] = Clip(clip.file, begin_s, clip.to_s)
        return placed

    def _tasks(self, run: Run, episode: Episode) -> dict[int, str] | str:
        numbers = run.tasks
        if numbers is None:
            return "a frame has no task_index"
        texts = {number: self._texts.of(number, episode) for number in numbers}
        unknown = [number for number, text in texts.items() if not text.strip()]
        return f"its frames have task {unknown[0]}, of which no text is known" if unknown else texts


def _take(plan: Plan, episode: Episode, outcome: Kept | str) -> None:
    if isinstance(outcome, str):
        plan.dropped.append(Dropped(episode.number, episode.data_file, None, outcome))
        return
    plan.kept.append(outcome)
    if outcome.length < outcome.run.length:
        tail = (outcome.length, outcome.run.length - 1)
        plan.dropped.append(Dropped(episode.number, episode.data_file, tail, "its videos have no picture of them"))


def _places(survey: Survey, report: Report, files: Sequence[str]) -> dict[str, int]:
    """Rows before each file, where numbers of episodes are in doubt and `meta/episodes` says which rows it means."""
    if not report.verdicts["episode-order"].count or report.verdicts["episode-ranges"].count:
        return {}
    rows = {table.file: table.rows for table in survey.data}
    starts = accumulate((rows[file] for file in files), initial=0)
    return dict(zip(files, starts, strict=False)) if survey.has_all_tables else {}


def _row_of(run: Run) -> Episode:
    """Where `meta/episodes` says nothing."""
    return Episode(run.episode, run.length, 0, 0, (), run.file, {}, "")


def _reasons(report: Report, rows: tuple[Episode, ...]) -> dict[int, str]:
    """By episode: of the files that are broken, all that lie in them."""
    lying: dict[str, list[int]] = {}
    for episode in rows:
        for file in (episode.data_file, *(clip.file for clip in episode.clips.values())):
            lying.setdefault(file, []).append(episode.number)
    found: dict[int, str] = {}
    for rule in BREAKING:
        for finding in report.verdicts[rule].findings:
            at = "" if finding.frame is None else f", frame {finding.frame}"
            hit = lying.get(finding.file or "", []) if finding.episode is None else [finding.episode]
            for number in hit:
                found.setdefault(number, f"{rule}: {finding.says}{at}")
    return found


def _separate(plan: Plan, fps: float) -> None:
    """Of two that claim the same pictures neither is kept: whose they are is not known."""
    spans: dict[str, list[tuple[float, float, int]]] = {}
    for each in plan.kept:
        for clip in each.clips.values():
            spans.setdefault(clip.file, []).append((clip.from_s, clip.from_s + each.length / fps, each.run.episode))
    both: dict[int, str] = {}
    for file, found in spans.items():
        furthest_s, one = -math.inf, -1
        for begin_s, end_s, two in sorted(found):
            if begin_s < furthest_s - 0.5 / fps:
                says = f"episodes {one} and {two} claim the same pictures of {file}"
                both |= {one: says, two: says}
            if end_s > furthest_s:
                furthest_s, one = end_s, two
    plan.kept = [each for each in plan.kept if each.run.episode not in both]
    plan.dropped += [Dropped(number, None, None, both[number]) for number in sorted(both)]
