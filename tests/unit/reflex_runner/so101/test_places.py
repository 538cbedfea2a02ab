from __future__ import annotations

from pathlib import Path

import pytest

from reflex_runner.so101.errors import CalibrationError
from reflex_runner.so101.places import Places


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HF_LEROBOT_CALIBRATION": "/c", "HF_LEROBOT_HOME": "/h"}, "/c"),
        ({"HF_LEROBOT_HOME": "/h", "HF_HOME": "/hf"}, "/h/calibration"),
        ({"HF_HOME": "/hf"}, "/hf/lerobot/calibration"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/lerobot/calibration"),
        ({}, str(Path("~/.cache/huggingface/lerobot/calibration").expanduser())),
        ({"HF_LEROBOT_HOME": "~/h"}, str(Path("~/h/calibration").expanduser())),
    ],
)
def test_calibrations_are_where_lerobot_has_them(environment: dict[str, str], folder: str) -> None:
    assert Places.here(environment).calibrations == Path(folder)


def test_a_port_comes_from_the_environment_and_an_empty_one_is_none() -> None:
    assert Places.here({"REFLEX_SO101_PORT": "/dev/ttyACM0"}).port == "/dev/ttyACM0"
    assert Places.here({"REFLEX_SO101_PORT": ""}).port is None


def with_files(folder: Path, *names: str) -> Places:
    for name in names:
        file = folder / "robots" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return Places(None, folder)


def test_the_file_is_found_under_either_name_of_the_robot_and_the_newer_wins(tmp_path: Path) -> None:
    places = with_files(tmp_path, "so101_follower/old.json", "so101_follower/both.json", "so_follower/both.json")

    assert places.calibration("old") == tmp_path / "robots/so101_follower/old.json"
    assert places.calibration("both") == tmp_path / "robots/so_follower/both.json"
    assert places.file_for("old") == tmp_path / "robots/so101_follower/old.json"
    assert places.file_for("new") == tmp_path / "robots/so_follower/new.json"


def test_the_only_arm_needs_no_name_and_of_several_they_are_told(tmp_path: Path) -> None:
    assert with_files(tmp_path, "so_follower/left.json").calibration(None).name == "left.json"
    with pytest.raises(CalibrationError, match="calibrations of 2 arms: give `id:` as one of left, right"):
        with_files(tmp_path, "so101_follower/right.json").calibration(None)


def test_without_a_file_it_is_told_where_was_looked_and_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"so_follower and .*so101_follower .*calibrate --id NAME"):
        Places(None, tmp_path).calibration(None)
    with pytest.raises(CalibrationError, match=r"no arm called left is .*calibrate --id left"):
        with_files(tmp_path, "so_follower/right.json").calibration("left")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "*", "[a]", ".x"])
def test_a_name_that_is_a_pattern_or_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CalibrationError, match="an arm cannot be called"):
        with_files(tmp_path, "so_follower/left.json").calibration(name)
