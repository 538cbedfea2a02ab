"""Rules of files and folders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reflex.datasets.layout import (
    CODEBASE_VERSION,
    DATA_FOLDER,
    DATA_FORMAT,
    EPISODES_FOLDER,
    VIDEO_FORMAT,
    VIDEOS_FOLDER,
)
from reflex_learning.reading.places import is_inside
from reflex_learning.validation.rule import Finding, Rule
from reflex_learning.validation.survey import Survey

__all__ = ["INFO_OPENS", "RULES"]

LEFT_OVER: Final = (".part", ".partial", ".tmp", ".open", ".lock", ".incomplete")
COPY: Final = "copy the dataset anew from where it is whole"


def _info_opens(_survey: Survey) -> Iterator[Finding]:
    """Told of by whoever reads it: without it there is no survey."""
    yield from ()


def _rate_is_whole(survey: Survey) -> Iterator[Finding]:
    fps = survey.info.told.get("fps")
    if not isinstance(fps, int):
        yield Finding(f"fps is {fps!r}, no whole number")


def _is_known_version(survey: Survey) -> Iterator[Finding]:
    version = survey.info.version
    if version != CODEBASE_VERSION:
        yield Finding(f"codebase_version is {version}, not {CODEBASE_VERSION}")


def _has_known_paths(survey: Survey) -> Iterator[Finding]:
    wanted = {"data_path": DATA_FORMAT, "video_path": VIDEO_FORMAT if survey.info.videos else None}
    for name, path in wanted.items():
        told = survey.info.told.get(name)
        if told != path and not (path is None and told == VIDEO_FORMAT):
            yield Finding(f"{name} is {str(told)[:80]!r}, not {path!r}")


def _has_no_links_out(survey: Survey) -> Iterator[Finding]:
    for file in survey.files:
        path = survey.root / file
        if path.is_symlink() and not is_inside(survey.root, path):
            yield Finding(f"{file} links to what lies outside of the dataset", file)


def _tables_open(survey: Survey) -> Iterator[Finding]:
    yield from survey.problems.get("tables-open", ())


def _data_files_exist(survey: Survey) -> Iterator[Finding]:
    there = set(survey.files)
    for episode in survey.rows:
        if episode.data_file not in there:
            yield Finding(f"{episode.data_file} is not there", episode.data_file, episode.number)


def _video_files_exist(survey: Survey) -> Iterator[Finding]:
    there = set(survey.files)
    for episode in survey.rows:
        for clip in episode.clips.values():
            if clip.file not in there:
                yield Finding(f"{clip.file} is not there", clip.file, episode.number)


def _has_no_stray_tables(survey: Survey) -> Iterator[Finding]:
    named = {episode.data_file for episode in survey.rows} | {episode.table for episode in survey.rows}
    for file in survey.files:
        is_table = file.endswith(".parquet") and file.startswith((f"{DATA_FOLDER}/", f"{EPISODES_FOLDER}/"))
        if survey.rows and is_table and file not in named:
            yield Finding(f"{file} belongs to no episode, and LeRobot reads its rows all the same", file)


def _has_no_stray_videos(survey: Survey) -> Iterator[Finding]:
    named = {clip.file for episode in survey.rows for clip in episode.clips.values()}
    for file in survey.files:
        if survey.rows and file.startswith(f"{VIDEOS_FOLDER}/") and file.endswith(".mp4") and file not in named:
            yield Finding(f"{file} belongs to no episode", file)


def _has_no_leftovers(survey: Survey) -> Iterator[Finding]:
    for file in survey.files:
        if file.endswith(LEFT_OVER) or file.startswith("images/"):
            yield Finding(f"{file} was left by a run that did not end", file)


def _has_no_holes(survey: Survey) -> Iterator[Finding]:
    numbers: dict[str, set[int]] = {}
    for file in survey.files:
        folder, _, name = file.rpartition("/")
        digits = name.removeprefix("file-").partition(".")[0]
        if name.startswith("file-") and digits.isdecimal() and name.endswith((".parquet", ".mp4")):
            numbers.setdefault(folder, set()).add(int(digits))
    for folder, found in numbers.items():
        if len(found) != max(found) + 1:
            yield Finding(f"{folder} has {len(found)} files, numbered up to {max(found)}", folder)


INFO_OPENS: Final = Rule("info-open", "error", "meta/info.json says version, rate and features", COPY, _info_opens)
RULES: Final = (
    INFO_OPENS,
    Rule("fps", "error", "fps is a whole number", "write a whole number, and timestamps by it", _rate_is_whole),
    Rule(
        "version",
        "error",
        "the dataset is of version v3.0",
        "convert it: reflex datasets convert",
        _is_known_version,
    ),
    Rule(
        "paths",
        "error",
        "files are where every dataset of v3.0 has them",
        "write data_path and video_path of meta/info.json as LeRobot does, and move the files",
        _has_known_paths,
    ),
    Rule(
        "links",
        "error",
        "no link leads out of the dataset",
        "put the file itself in the link's place",
        _has_no_links_out,
    ),
    Rule("tables-open", "error", "every parquet file opens", COPY, _tables_open),
    Rule("data-files", "error", "the table of every episode is there", COPY, _data_files_exist),
    Rule("video-files", "error", "the videos of every episode are there", COPY, _video_files_exist),
    Rule(
        "stray-tables",
        "error",
        "every table belongs to an episode",
        "move the file out of the dataset: its rows would count twice",
        _has_no_stray_tables,
    ),
    Rule("stray-videos", "warning", "every video belongs to an episode", "delete the file", _has_no_stray_videos),
    Rule(
        "leftovers",
        "warning",
        "nothing half-written is left",
        "delete the file; recordings of Reflex: reflex datasets repair",
        _has_no_leftovers,
    ),
    Rule(
        "file-numbers",
        "warning",
        "files are numbered without a gap",
        "a file may be missing: compare with where the dataset came from",
        _has_no_holes,
    ),
)
