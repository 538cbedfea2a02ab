"""Datasets that LeRobot wrote itself break no rule of the validator, and a conversion is the same as LeRobot's own.

`make lerobot-test` makes the environment that it needs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reflex_learning.conversion import convert
from reflex_learning.repair.repairing import repair_dataset
from reflex_learning.validation.validating import validate
from stock_lerobot.stock import StockLeRobot
from support.datasets.defects import DEFECTS
from support.datasets.drafts import LENGTHS, Layout, healthy
from support.datasets.version_2 import write_old
from support.datasets.writing import make
from support.skips import skip_for_want_of

SETS = {"images": (2, 73), "videos": (3, 114), "many": (6, 234)}
"""Episodes and frames: pictures in the tables, videos, and several files and tasks."""


@pytest.fixture(scope="module")
def lerobot(tmp_path_factory: pytest.TempPathFactory) -> StockLeRobot:
    python = os.environ.get("STOCK_LEROBOT_PYTHON")
    if python is None:
        skip_for_want_of("LeRobot")
    return StockLeRobot(Path(python), tmp_path_factory.mktemp("plugins"))


@pytest.fixture(scope="module")
def made(lerobot: StockLeRobot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    lerobot.run("make_datasets.py", folder / "sets", cwd=folder)
    return folder / "sets"


@pytest.mark.parametrize("name", SETS)
def test_what_lerobot_wrote_breaks_no_rule(made: Path, name: str) -> None:
    report = validate(made / name)

    assert [(verdict.rule.id, verdict.findings) for verdict in report.failed] == []
    assert (report.episodes, report.frames) == SETS[name]
    assert report.pictures == 2 * report.frames


def test_one_of_them_lies_in_several_files(made: Path) -> None:
    assert len(list((made / "many").glob("data/*/*.parquet"))) > 2
    assert len(list((made / "many").glob("videos/*/*/*.mp4"))) > 4


@pytest.mark.parametrize("layout", ["video", "image"])
def test_a_converted_dataset_has_the_frames_of_lerobots_own_conversion(
    lerobot: StockLeRobot, tmp_path: Path, layout: Layout
) -> None:
    old = write_old(healthy(layout), tmp_path / "old")
    new = convert(old, tmp_path / "new")
    lerobot.run("convert_beside.py", old, new, tmp_path / "told.json", cwd=tmp_path)
    told = json.loads((tmp_path / "told.json").read_text())

    assert told == {"frames": [sum(LENGTHS)] * 2, "episodes": [len(LENGTHS)] * 2, "different": []}


def test_texts_of_tasks_in_a_column_are_numbers_to_lerobot(lerobot: StockLeRobot, tmp_path: Path) -> None:
    """What the rule `task-index` is for."""
    sound, broken = make(healthy("image"), tmp_path / "sound"), DEFECTS["task-index"].make(tmp_path / "broken")
    lerobot.run("tasks_of.py", sound, broken, tmp_path / "told.json", cwd=tmp_path)

    assert json.loads((tmp_path / "told.json").read_text()) == [
        ["pick up the red cube", "pick up the green cube"],
        [0, 1],
    ]


def test_repaired_datasets_are_loaded_frame_by_frame(lerobot: StockLeRobot, tmp_path: Path) -> None:
    rules = ("task-index", "video-frames", "video-start", "finite", "picture-decodes")
    for rule in rules:
        repair_dataset(DEFECTS[rule].make(tmp_path / "old" / rule), tmp_path / rule)
    lerobot.run("load_all.py", *[tmp_path / rule for rule in rules], tmp_path / "told.json", cwd=tmp_path)

    texts, all_frames = ["pick up the red cube", "pick up the green cube"], sum(LENGTHS)
    assert json.loads((tmp_path / "told.json").read_text()) == [
        [4, all_frames, texts],
        [4, all_frames - 5, texts],
        [4, all_frames, texts],
        [3, all_frames - LENGTHS[0], texts[::-1]],
        [3, all_frames - LENGTHS[3], texts],
    ]
