"""A dataset held to all rules: files and metadata, then the numbers, then the pictures, each read once.

What cannot be read is told of by its own rule, and what needs it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from reflex_learning.errors import DatasetError
from reflex_learning.reading.frames import frames_of
from reflex_learning.reading.info import Info, read_info
from reflex_learning.validation.catalogue import OF_FILMS, OF_PARTS, OF_SHOWN, OF_SURVEY, OF_WHOLE
from reflex_learning.validation.report import MOST_FINDINGS, AxisRange, Report
from reflex_learning.validation.rule import Finding
from reflex_learning.validation.rules.frames import Part
from reflex_learning.validation.rules.layout import INFO_OPENS
from reflex_learning.validation.survey import Survey, survey_of
from reflex_learning.validation.tally import Tally, Whole
from reflex_learning.validation.watching import films_of, shown_in_tables, watch_film

__all__ = ["Progress", "validate"]

Progress = Callable[[int, int], None]
"""Told how many frames and pictures were looked at, and of how many."""


class _Counter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done = 0
        self._total = total
        self._progress = progress

    def __call__(self, count: int) -> None:
        self.done += count
        if self._progress is not None:
            self._progress(min(self.done, self._total), self._total)


def validate(root: Path, progress: Progress | None = None, most: int = MOST_FINDINGS) -> Report:
    """Everything about the dataset in this folder; `DatasetError` only where there is none."""
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder; give the folder of a LeRobot dataset")
    report = Report(str(root), most)
    try:
        info = read_info(root)
    except DatasetError as exc:
        report.verdicts[INFO_OPENS.id].take([Finding(str(exc), "meta/info.json")])
        return report
    _judge_all(root, info, report, progress)
    return report


def _judge_all(root: Path, info: Info, report: Report, progress: Progress | None) -> None:
    survey, tally = survey_of(root, info), Tally()
    report.judge(OF_SURVEY, survey)
    report.fps, report.lengths = info.fps, [episode.length for episode in survey.rows]
    report.episodes, report.frames = len(survey.rows), sum(table.rows for table in survey.data)
    if any(report.verdicts[name].count for name in ("version", "feature-names", "features")):
        return  # nothing else can be found by these names
    advance = _Counter(report.frames * (1 + len(info.cameras)), progress)
    _read_numbers(survey, tally, report, advance)
    _look_at_pictures(survey, tally, report, advance)
    whole = Whole(survey, tally)
    report.judge(OF_WHOLE, whole)
    report.axes = list(_axes(whole))


def _axes(whole: Whole) -> Iterator[AxisRange]:
    for name, course in whole.vectors.items():
        rows = zip(whole.labels(name), course.low, course.mean, course.std, course.high, strict=False)
        yield from (AxisRange(name, label, *map(float, values)) for label, *values in rows)


def _read_numbers(survey: Survey, tally: Tally, report: Report, advance: _Counter) -> None:
    names = [feature.name for feature in survey.info.numeric]
    rows = {episode.number: episode for episode in survey.rows}
    first = 0
    for table in survey.data:
        try:
            for frames in frames_of(survey.root, [table.file], names, first):
                tally.add(frames)
                report.judge(OF_PARTS, Part(survey, frames, rows.get(frames.episode)))
                advance(frames.length)
        except DatasetError as exc:
            tally.unread.append(table.file)
            report.verdicts["table-rows"].take([Finding(str(exc), table.file)])
        first += table.rows


def _look_at_pictures(survey: Survey, tally: Tally, report: Report, advance: _Counter) -> None:
    before = advance.done
    for feature, file, clips in films_of(survey):
        film, all_shown = watch_film(survey, feature, file, clips, tally, advance)
        report.judge(OF_FILMS, film)
        for shown in all_shown:
            report.judge(OF_SHOWN, shown)
    for feature in survey.info.cameras:
        if not feature.is_video:
            for shown in shown_in_tables(survey, feature, tally, advance):
                report.judge(OF_SHOWN, shown)
    report.pictures = advance.done - before
