"""What a stranger may have written: never a traceback, never another file, never more memory than there is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reflex_learning.errors import DatasetError
from reflex_learning.reading import tables
from reflex_learning.reading.dataset import open_dataset
from reflex_learning.reading.frames import frames_of
from reflex_learning.reading.info import parse_info, read_info
from reflex_learning.reading.places import regular_file
from reflex_learning.reading.tables import blocks_of
from reflex_learning.reading.tasks import check_task_index, read_tasks
from reflex_learning.reading.videos import pictures_of, read_video
from support.datasets.drafts import CAMERAS, LENGTHS, healthy
from support.datasets.writing import make

DATA = "data/chunk-000/file-000.parquet"
VIDEO = f"videos/{CAMERAS[0]}/chunk-000/file-000.mp4"
RANDOM = np.random.default_rng(5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(healthy("packed"), tmp_path / "dataset")


def test_what_is_whole_is_read_frame_by_frame(root: Path) -> None:
    dataset = open_dataset(root)
    frames = list(frames_of(root, [DATA], ["action", "index"]))

    assert [episode.length for episode in dataset.episodes] == list(LENGTHS)
    assert [(each.episode, each.first_row, each.length) for each in frames] == [
        (number, sum(LENGTHS[:number]), length) for number, length in enumerate(LENGTHS)
    ]
    assert frames[1].columns["action"].shape == (LENGTHS[1], 6)
    assert len(list(pictures_of(root, VIDEO))) == len(read_video(root, VIDEO).times_s) == sum(LENGTHS)


def test_an_episode_that_spans_blocks_is_one(tmp_path: Path) -> None:
    file = tmp_path / "long.parquet"
    pq.write_table(pa.table({"episode_index": np.repeat([0, 1], [20_000, 5]), "x": np.arange(20_005)}), file)

    assert [each.length for each in frames_of(tmp_path, ["long.parquet"], ["x"])] == [20_000, 5]


@pytest.mark.slow
@pytest.mark.parametrize("file", [DATA, "meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet", VIDEO])
@pytest.mark.parametrize("how", ["cut", "noise", "empty", "flipped"])
def test_a_damaged_file_is_a_sentence_with_its_name(root: Path, file: str, how: str) -> None:
    path = root / file
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "noise": RANDOM.bytes(5_000),
            "empty": b"",
            "flipped": whole[: len(whole) // 2] + bytes(256) + whole[len(whole) // 2 + 256 :],
        }[how]
    )
    try:
        open_dataset(root)
        list(frames_of(root, [DATA], ["action"]))
        list(pictures_of(root, VIDEO))
    except DatasetError as exc:
        assert file in str(exc)  # noqa: PT017  # a flipped bit may also go unnoticed
        return
    assert how == "flipped"


def test_a_link_that_leads_out_is_not_followed(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.parquet"
    (root / DATA).rename(secret)
    (root / DATA).symlink_to(secret)

    with pytest.raises(DatasetError, match="leads out of the dataset"):
        list(frames_of(root, [DATA], ["action"]))


def test_a_copy_in_the_cache_of_the_hub_is_made_of_links_to_its_blobs(root: Path, tmp_path: Path) -> None:
    blob = tmp_path / "hub" / "blobs" / "ab12"
    snapshot = tmp_path / "hub" / "snapshots" / "main"
    blob.parent.mkdir(parents=True)
    snapshot.parent.mkdir()
    root.rename(snapshot)
    (snapshot / DATA).rename(blob)
    (snapshot / DATA).symlink_to(blob)

    assert len(list(frames_of(snapshot, [DATA], ["action"]))) == len(LENGTHS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../../etc/passwd", "data/../../x", "pipe", "folder", "missing"])
def test_what_is_no_regular_file_of_the_dataset_is_not_opened(root: Path, name: str) -> None:
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()

    with pytest.raises(DatasetError):
        regular_file(root, name)


def test_a_small_file_that_unpacks_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_GROUP_BYTES", 2**20)
    pq.write_table(pa.table({"x": np.zeros(2**18, np.int64)}), tmp_path / "bomb.parquet", use_dictionary=False)

    assert (tmp_path / "bomb.parquet").stat().st_size < 2**18
    with pytest.raises(DatasetError, match="row group of 2 MiB"):
        next(blocks_of(tmp_path, "bomb.parquet", ["x"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 200_000, "[]", "{}", '{"codebase_version": 3}', '{"fps": 1e999}', '{"a": ' + "9" * 5_000 + "}"],
)
def test_an_info_that_is_none_is_a_sentence(root: Path, text: str) -> None:
    (root / "meta" / "info.json").write_text(text)

    with pytest.raises(DatasetError, match=r"meta/info\.json"):
        read_info(root)


def test_features_that_are_none_are_kept_apart() -> None:
    good = {"dtype": "float32", "shape": [6], "names": None}
    bad = {"a": 1, "b": {"dtype": "float32"}, "c": good | {"shape": [-1]}, "d": good | {"shape": [10**9, 10**9]}}
    info = parse_info(
        {"codebase_version": "v3.0", "fps": 30, "features": bad | {"e": good | {"shape": [True]}, "f": good}}
    )

    assert (list(info.features), info.malformed) == (["f"], ("a", "b", "c", "d", "e"))


def test_an_episode_of_another_shape_of_rows_is_a_sentence(root: Path) -> None:
    pq.write_table(pa.table({"episode_index": [0, 0], "action": [[1.0], [1.0, 2.0]]}), root / DATA)

    with pytest.raises(DatasetError, match="rows of unequal width"):
        list(frames_of(root, [DATA], ["action"]))


def test_tasks_of_pandas_of_any_age_are_read(root: Path) -> None:
    pq.write_table(pa.table({"task_index": [0], "__index_level_0__": ["x"]}), root / "meta" / "tasks.parquet")

    assert read_tasks(root) == ((0, "x"),)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"pandas": '{"index_columns": [{"kind": "range", "name": null, "start": 0, "stop": 1, "step": 1}]}'},
        {"pandas": '{"index_columns": ["task", "task_index"]}'},
        {"pandas": "[" * 100_000},
        {"pandas": "[]"},
    ],
    ids=["none", "range", "both", "deep", "other"],
)
def test_texts_of_tasks_that_are_no_index_are_a_sentence(root: Path, metadata: dict[str, str] | None) -> None:
    table = pa.table({"task_index": [0], "task": ["x"]}).replace_schema_metadata(metadata)
    pq.write_table(table, root / "meta" / "tasks.parquet")

    with pytest.raises(DatasetError, match="write it anew, with the texts as the index"):
        check_task_index(root)


def test_texts_of_tasks_may_be_an_index_without_a_name(root: Path) -> None:
    table = pa.table({"task_index": [0], "__index_level_0__": ["x"]})
    unnamed = table.replace_schema_metadata({"pandas": '{"index_columns": ["__index_level_0__"]}'})
    pq.write_table(unnamed, root / "meta" / "tasks.parquet")

    check_task_index(root)


def test_a_dataset_of_version_2_is_named_as_such(root: Path) -> None:
    info = json.loads((root / "meta" / "info.json").read_text())
    (root / "meta" / "info.json").write_text(json.dumps(info | {"codebase_version": "v2.1"}))

    with pytest.raises(DatasetError, match=r"version v2\.1; convert"):
        open_dataset(root)
