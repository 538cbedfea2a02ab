"""A repaired dataset holds to the rules, has every frame that was whole as it was, and says which were not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
import pytest

from reflex_learning.errors import DatasetError
from reflex_learning.reading.dataset import Dataset, open_dataset
from reflex_learning.repair.repairing import Repaired, repair_dataset, told
from reflex_learning.validation.validating import validate
from support.datasets.defects import DEFECTS
from support.datasets.drafts import LENGTHS, Draft, healthy
from support.datasets.seeding import Defect, rewrite_table
from support.datasets.writing import make

SUMS: Final = (
    "paths", "picture-names", "totals", "tasks-open", "task-index", "task-order", "stats-open", "episode-file",
    "episode-lengths", "video-spans", "video-start", "frame-index",
)  # fmt: skip
"""Rules that are broken by what sums the frames up: every frame is kept."""
DROPPED: Final[Mapping[str, list[int]]] = {
    "tables-open": [3], "table-rows": [3], "video-files": [3], "video-decodes": [3], "video-size": [3],
    "video-times": [3], "video-overlap": [1, 2], "picture-decodes": [3], "finite": [0], "timestamps": [1],
    "task-texts": [1, 3], "episode-numbers": [7, 3], "episode-order": [1, 2],
}  # fmt: skip
"""By rule the episodes that are lost."""
HOPELESS: Final = ("info-open", "features", "axis-names", "episode-rows", "not-empty")


def repaired(defect: Defect, folder: Path) -> Repaired:
    """What came of it; the old one is as it was."""
    old = defect.make(folder / "old")
    before = contents(old)
    found = repair_dataset(old, folder / "new")

    assert contents(old) == before
    assert sorted(path.name for path in folder.iterdir() if path.name != "elsewhere") == ["new", "old"]
    report = validate(folder / "new")
    assert [(each.rule.id, each.findings) for each in report.failed if each.rule.severity == "error"] == []
    check_frames(folder, found)
    return found


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def check_frames(folder: Path, found: Repaired) -> None:
    """All that was kept, value by value; videos byte by byte."""
    new = open_dataset(folder / "new")
    first = 0
    for number, (kept, episode) in enumerate(zip(found.plan.kept, new.episodes, strict=True)):
        table = pq.read_table(new.root / episode.data_file)
        old = pq.read_table(folder / "old" / kept.run.file).slice(kept.run.first, kept.length)
        for name in set(table.column_names) - {"frame_index", "episode_index", "index", "task_index", "timestamp"}:
            assert table[name].equals(old[name]), name
        assert np.allclose(table["timestamp"].to_numpy(), np.arange(kept.length) / 30, atol=1e-5)
        assert table["index"].to_pylist() == list(range(first, first + kept.length))
        assert set(table["episode_index"].to_pylist()) == {number}
        check_videos(folder, kept.clips, episode.clips)
        check_texts(new, table, kept.tasks)
        first += kept.length


def check_videos(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    assert old.keys() == new.keys()
    for camera, clip in new.items():
        assert (folder / "new" / clip.file).read_bytes() == (folder / "old" / old[camera].file).read_bytes()
        assert clip.from_s == old[camera].from_s


def check_texts(new: Dataset, table: Any, texts: Mapping[int, str]) -> None:
    told = dict(new.tasks)
    assert {told[number] for number in table["task_index"].to_pylist()} == set(texts.values())


@pytest.mark.slow
@pytest.mark.parametrize("rule", SUMS)
def test_what_sums_the_frames_up_is_written_anew(tmp_path: Path, rule: str) -> None:
    found = repaired(DEFECTS[rule], tmp_path)

    assert [each for each in found.plan.dropped if each.episode is not None] == []
    assert rule in dict(found.hold_now)
    if rule != "episode-lengths":
        assert found.plan.frames == sum(LENGTHS)


@pytest.mark.slow
@pytest.mark.parametrize("rule", DROPPED)
def test_an_episode_that_is_broken_is_left_out_and_named(tmp_path: Path, rule: str) -> None:
    found = repaired(DEFECTS[rule], tmp_path)

    assert [each.episode for each in found.plan.dropped] == DROPPED[rule]
    assert all(each.why and each.frames is None for each in found.plan.dropped)
    assert rule in dict(found.hold_now)
    assert [kept.run.episode for kept in found.plan.kept] == [n for n in range(4) if n not in DROPPED[rule]]


@pytest.mark.slow
def test_frames_without_pictures_are_left_out_and_those_before_them_kept(tmp_path: Path) -> None:
    found = repaired(DEFECTS["video-frames"], tmp_path)

    assert [(each.episode, each.frames) for each in found.plan.dropped] == [(3, (47, 51))]
    assert [kept.length for kept in found.plan.kept] == [36, 45, 40, 47]


@pytest.mark.slow
def test_a_table_that_belongs_to_no_episode_is_left_out_and_named(tmp_path: Path) -> None:
    found = repaired(DEFECTS["stray-tables"], tmp_path)

    assert [each.file for each in found.plan.dropped] == ["data/chunk-000/file-004.parquet"]


def later(draft: Draft) -> None:
    for columns in draft.episodes:
        columns["timestamp"] += np.float32(2.0)
        columns["frame_index"] += 60


@pytest.mark.slow
def test_counters_that_begin_later_begin_at_0_where_pictures_lie_beside_them(tmp_path: Path) -> None:
    assert repaired(Defect(values=later, layout="image"), tmp_path).plan.frames == sum(LENGTHS)


@pytest.mark.slow
def test_a_dataset_without_videos_needs_no_list_of_its_episodes(tmp_path: Path) -> None:
    def lose(root: Path) -> None:
        for file in root.glob("meta/episodes/*/*"):
            rewrite_table(file, lambda table: table.drop_columns(["length"]))

    assert repaired(Defect(layout="image", files=lose), tmp_path).plan.frames == sum(LENGTHS)


@pytest.mark.slow
@pytest.mark.parametrize("rule", HOPELESS)
def test_what_cannot_be_repaired_is_refused_and_nothing_is_left(tmp_path: Path, rule: str) -> None:
    old = DEFECTS[rule].make(tmp_path / "old")

    with pytest.raises(DatasetError, match=f"cannot be repaired: .*({rule}|no episode of it is whole)"):
        repair_dataset(old, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.slow
def test_a_sound_dataset_is_not_written_again(tmp_path: Path) -> None:
    found = repair_dataset(make(healthy("image"), tmp_path / "old"), tmp_path / "new")

    assert not found.before.failed
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_dropped_and_writes_nothing(tmp_path: Path) -> None:
    old = DEFECTS["finite"].make(tmp_path / "old")
    found = told(repair_dataset(old, tmp_path / "new", dry_run=True), old, tmp_path / "new")

    assert (found["out"], [each["episode"] for each in found["dropped"]]) == (None, [0])
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("out", "said"), [("old/new", "lies in"), ("there", "is there already")])
def test_neither_the_dataset_nor_another_folder_is_written_into(tmp_path: Path, out: str, said: str) -> None:
    old = DEFECTS["totals"].make(tmp_path / "old")
    (tmp_path / "there").mkdir()

    with pytest.raises(DatasetError, match=said):
        repair_dataset(old, tmp_path / out)
