"""A dataset repaired: looked at, planned, written beside under its new name, and held to the rules once more.

    validate  ->  plan  ->  tables, videos  ->  meta  ->  validate  ->  the folder gets its name

Frames that are kept are the old ones, value by value, and videos byte by byte. What cannot be kept is said.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.datasets.layout import (
    CODEBASE_VERSION,
    DATA_FORMAT,
    FILES_A_CHUNK,
    INFO_FILE,
    PICTURE_NAMES,
    VIDEO_FORMAT,
    VIDEOS_FOLDER,
)
from reflex_learning.errors import DatasetError
from reflex_learning.reading.info import Feature, Info, read_info
from reflex_learning.reading.places import regular_file
from reflex_learning.repair.planning import Plan, plan_of
from reflex_learning.repair.tables import Numbered, write_tables
from reflex_learning.statistics import compute_stats, write_stats
from reflex_learning.validation.report import Report
from reflex_learning.validation.survey import survey_of
from reflex_learning.validation.validating import validate
from reflex_learning.writing import new_folder, place_of, refuse_taken, write_rows, write_tasks

__all__ = ["Repaired", "repair_dataset", "told"]

HOPELESS: Final = ("info-open", "version", "features", "feature-names", "counters")
"""Rules without which nothing can be found in a dataset."""
ALL: Final = 1_000_000
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Repaired:
    before: Report
    after: Report | None
    """None in a dry run, and where there was nothing to do."""
    plan: Plan

    @property
    def hold_now(self) -> list[tuple[str, str]]:
        """Rules that did not hold and do now, each with what it said first."""
        if self.after is None:
            return []
        failing = {verdict.rule.id for verdict in self.after.failed}
        return [(each.rule.id, each.findings[0].says) for each in self.before.failed if each.rule.id not in failing]

    @property
    def remaining(self) -> list[tuple[str, str]]:
        """Warnings about what was recorded, which nobody can mend."""
        return [] if self.after is None else [(each.rule.id, each.findings[0].says) for each in self.after.failed]


def repair_dataset(root: Path, out: Path, advance: Advance | None = None, *, dry_run: bool = False) -> Repaired:
    """Write what is whole of the dataset at `out`, which must not be there; `DatasetError` where that cannot be."""
    if out.resolve().is_relative_to(root.resolve()):
        raise DatasetError(f"{out} lies in {root}, which is not touched; give a folder beside it")
    if not dry_run:
        refuse_taken(out)
    before = validate(root, advance, ALL)
    if not before.failed:
        return Repaired(before, None, Plan())
    info = _info_of(root, before)
    plan = plan_of(root, info, survey_of(root, info), before)
    if not plan.kept:
        why = plan.dropped[0].why if plan.dropped else "it has no episode"
        raise _cannot(root, f"no episode of it is whole ({why})", "record it, or copy it from where it is whole")
    if dry_run:
        return Repaired(before, None, plan)
    with new_folder(out) as partial:
        _write(root, partial, info, plan)
        write_stats(partial, compute_stats(partial, advance))
        after = validate(partial, advance)
        _refuse(root, after, [each.rule.id for each in after.failed if each.rule.severity == "error"])
    return Repaired(before, after, plan)


def _cannot(root: Path, why: str, fix: str) -> DatasetError:
    """`why` may say already what to do."""
    return DatasetError(
        f"{root} cannot be repaired: {why}" if "; " in why else f"{root} cannot be repaired: {why}; {fix}"
    )


def _info_of(root: Path, report: Report) -> Info:
    """`DatasetError` where nothing can be found by it."""
    _refuse(root, report, HOPELESS)
    info = read_info(root)
    if info.videos:
        _refuse(root, report, ("episode-rows",))
    return info


def _refuse(root: Path, report: Report, rules: Iterable[str]) -> None:
    for verdict in (report.verdicts[rule] for rule in rules):
        if verdict.count:
            raise _cannot(root, f"{verdict.rule.id}: {verdict.findings[0].says}", verdict.rule.fix)


def _write(root: Path, new: Path, info: Info, plan: Plan) -> None:
    texts = list(dict.fromkeys(text for kept in plan.kept for _, text in sorted(kept.tasks.items())))
    numbers = {text: number for number, text in enumerate(texts)}
    numbered = list(_numbered(plan))
    write_tables(root, new, info, numbered, numbers)
    videos = _copy_videos(root, new, plan)
    write_rows(new, [_row(each, info.fps, videos) for each in numbered])
    write_tasks(new, texts)
    (new / INFO_FILE).write_text(json.dumps(_info(info, plan, len(texts)), indent=4), encoding="utf-8")


def _numbered(plan: Plan) -> Iterator[Numbered]:
    first = 0
    for number, kept in enumerate(plan.kept):
        yield Numbered(kept, number, first)
        first += kept.length


def _copy_videos(root: Path, new: Path, plan: Plan) -> dict[str, int]:
    """The number of each, counted from 0 for each camera."""
    numbers: dict[str, int] = {}
    counts: dict[str, int] = {}
    for camera, clip in (pair for kept in plan.kept for pair in kept.clips.items()):
        if clip.file not in numbers:
            numbers[clip.file] = counts.get(camera, 0)
            counts[camera] = numbers[clip.file] + 1
            target = new / VIDEOS_FOLDER / camera / place_of(numbers[clip.file], ".mp4")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(regular_file(root, clip.file), target)
    return numbers


def _row(each: Numbered, fps: float, videos: Mapping[str, int]) -> dict[str, Any]:
    kept = each.kept
    chunk, file = divmod(each.number, FILES_A_CHUNK)
    row: dict[str, Any] = {
        "episode_index": each.number, "tasks": list(dict.fromkeys(kept.tasks.values())), "length": kept.length,
        "data/chunk_index": chunk, "data/file_index": file,
        "dataset_from_index": each.first, "dataset_to_index": each.first + kept.length,
    }  # fmt: skip
    for camera, clip in kept.clips.items():
        chunk, file = divmod(videos[clip.file], FILES_A_CHUNK)
        row |= {
            f"videos/{camera}/chunk_index": chunk, f"videos/{camera}/file_index": file,
            f"videos/{camera}/from_timestamp": clip.from_s,
            f"videos/{camera}/to_timestamp": clip.from_s + kept.length / fps,
        }  # fmt: skip
    return row


def _info(info: Info, plan: Plan, tasks: int) -> dict[str, Any]:
    return {
        **info.told,
        "codebase_version": CODEBASE_VERSION,
        "total_episodes": len(plan.kept),
        "total_frames": plan.frames,
        "total_tasks": tasks,
        "chunks_size": FILES_A_CHUNK,
        "fps": int(info.fps) if info.fps.is_integer() else info.fps,
        "splits": {"train": f"0:{len(plan.kept)}"},
        "data_path": DATA_FORMAT,
        "video_path": VIDEO_FORMAT if info.videos else None,
        "features": {name: _feature(feature) for name, feature in info.features.items()},
    }


def _feature(feature: Feature) -> Mapping[str, Any]:
    """Pictures of a camera have names that follow from their shape."""
    is_usual = len(feature.shape) == len(PICTURE_NAMES) and feature.shape[2] in (1, 3)
    return {**feature.told, "names": list(PICTURE_NAMES)} if feature.is_picture and is_usual else feature.told


def told(repaired: Repaired, root: Path, out: Path) -> dict[str, Any]:
    """As one JSON value."""
    after = repaired.after
    return {
        "dataset": str(root),
        "out": None if after is None else str(out),
        "episodes": repaired.before.episodes if after is None else after.episodes,
        "frames": repaired.before.frames if after is None else after.frames,
        "dropped": [dataclasses.asdict(each) for each in repaired.plan.dropped],
        "hold_now": [{"rule": rule, "said": said} for rule, said in repaired.hold_now],
        "remaining": [{"rule": rule, "says": says} for rule, says in repaired.remaining],
    }
