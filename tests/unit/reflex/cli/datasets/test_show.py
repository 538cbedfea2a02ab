"""`reflex datasets list` and `show`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.datasets.drafts import LENGTHS, healthy
from support.datasets.writing import make


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One dataset as a robot records it, and one as the hub keeps them."""
    folder = tmp_path_factory.mktemp("datasets")
    make(healthy("image", (31, 32)), folder / "here" / "lerobot")
    make(healthy("packed"), folder / "owner" / "cubes")
    (folder / "owner" / "broken" / "meta").mkdir(parents=True)
    (folder / "owner" / "broken" / "meta" / "info.json").write_text("[" * 100_000)
    return folder


def test_a_list_has_a_line_for_each_dataset_and_the_error_of_a_broken_one(folder: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "list", str(folder)])

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == f"{folder}/here/lerobot: v3.0, so101, 2 episodes, 63 frames at 30 Hz"
    assert lines[1] == f"{folder}/owner/broken: meta/info.json is no JSON; copy the dataset anew"
    assert lines[2] == f"{folder}/owner/cubes: v3.0, so101, 4 episodes, {sum(LENGTHS)} frames at 30 Hz"


def test_what_a_dataset_holds_is_shown_with_the_course_of_an_episode(folder: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "show", str(folder / "owner" / "cubes"), "--episode", "2"])

    assert done.exit_code == 0, done.output
    assert f"4 episodes, {sum(LENGTHS)} frames, 5.8 s; 36 to 52 frames each" in done.stdout
    assert "task 1: pick up the green cube" in done.stdout
    assert "observation.images.front  video 48 x 64 x 3  h264" in done.stdout
    assert "episode 2, action:" in done.stdout
    assert "gripper" in done.stdout.splitlines()[-1]


def test_as_json_it_is_one_value(folder: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "show", str(folder / "here" / "lerobot"), "--json"])
    told = json.loads(done.stdout)

    assert (told["episodes"], told["frames"], told["fps"], told["robot_type"]) == (2, 63, 30, "so101")
    assert [each["name"] for each in told["features"]][:2] == ["observation.state", "action"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "nowhere"], "is no folder"),
        (["show", "nowhere"], "is no LeRobot dataset: it has no meta/info.json"),
        (["show", "owner/broken"], "meta/info.json is no JSON"),
        (["show", "owner/cubes", "--episode", "4"], "there is no episode 4"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(folder: Path, arguments: list[str], said: str) -> None:
    verb, path, *rest = arguments
    done = CliRunner().invoke(app, ["datasets", verb, str(folder / path), *rest])

    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
