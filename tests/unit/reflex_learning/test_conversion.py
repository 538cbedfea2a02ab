"""A converted dataset has every frame of the old one, breaks no rule, and is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reflex_learning.conversion import convert
from reflex_learning.errors import DatasetError
from reflex_learning.reading.dataset import open_dataset
from reflex_learning.reading.frames import frames_of
from reflex_learning.validation.validating import validate
from support.datasets.drafts import CAMERAS, Layout, healthy
from support.datasets.version_2 import write_old
from support.datasets.writing import make


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["video", "image"])
def test_every_frame_is_the_old_one_and_no_rule_is_broken(tmp_path: Path, layout: Layout) -> None:
    draft = healthy(layout)
    old = write_old(draft, tmp_path / "old")
    new = convert(old, tmp_path / "new")

    report = validate(new)
    assert [(verdict.rule.id, verdict.findings) for verdict in report.failed] == []
    dataset = open_dataset(new)
    assert [text for _, text in dataset.tasks] == draft.tasks
    found = list(frames_of(new, [episode.data_file for episode in dataset.episodes], ["action", "index"]))
    for frames, columns in zip(found, draft.episodes, strict=True):
        assert np.array_equal(frames.columns["action"], columns["action"].astype(np.float64))
    for number in range(len(draft.episodes)) if layout == "video" else ():
        video = old / f"videos/chunk-000/{CAMERAS[1]}/episode_{number:06d}.mp4"
        assert (new / f"videos/{CAMERAS[1]}/chunk-000/file-{number:03d}.mp4").read_bytes() == video.read_bytes()


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    old = write_old(healthy("image", (31,)), tmp_path / "old")
    (tmp_path / "new").mkdir()

    with pytest.raises(DatasetError, match="is there already"):
        convert(old, tmp_path / "new")


def test_a_dataset_of_version_3_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is of version v3\.0"):
        convert(make(healthy("image", (31,)), tmp_path / "old"), tmp_path / "new")


def cut_table(root: Path) -> None:
    file = root / "data/chunk-000/episode_000001.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def lose_video(root: Path) -> None:
    (root / f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4").unlink()


def lengthen(root: Path) -> None:
    file = root / "meta/episodes.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["length"] += 1
    file.write_text("\n".join(map(json.dumps, lines)))


def name_a_folder(root: Path) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["../../x"] = info["features"][CAMERAS[0]]
    (root / "meta/info.json").write_text(json.dumps(info))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_table, "episode_000001.parquet is no readable parquet file"),
        (lose_video, "episode_000001.mp4 cannot be read"),
        (lengthen, "has 32 rows, and 33 by"),
        (name_a_folder, "cannot be converted"),
        (
            lambda root: (root / "meta/tasks.jsonl").write_text('{"task_index": 5, "task": "x"}\n'),
            "does not name the tasks",
        ),
        (lambda root: (root / "meta/episodes.jsonl").write_text("[" * 100_000), "line 1, is no JSON"),
        (lambda root: (root / "meta/episodes.jsonl").write_text(""), "nothing to convert"),
    ],
    ids=["table", "video", "length", "name", "tasks", "lines", "empty"],
)
def test_what_is_not_whole_is_a_sentence_and_nothing_is_left(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    old = write_old(healthy("video", (31, 32)), tmp_path / "old")
    damage(old)

    with pytest.raises(DatasetError, match=said):
        convert(old, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
