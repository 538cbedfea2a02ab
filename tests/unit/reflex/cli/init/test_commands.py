from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.embodiments import Embodiment, load_embodiment

URDF = """<robot name="arm">
  <link name="base"/>
  <joint name="fixed" type="fixed"/>
  <joint name="shoulder" type="revolute"><limit lower="-1.5" upper="1.5" velocity="3" effort="1"/></joint>
  <joint name="wrist" type="continuous"><limit velocity="6" effort="1"/></joint>
  <joint name="finger" type="prismatic"><limit lower="0.01" upper="0.04" velocity="0.2" effort="1"/></joint>
  <joint name="other" type="prismatic"><mimic joint="finger"/><limit upper="0.04" velocity="1"/></joint>
</robot>"""
STATS = {
    "action": {"min": [-90.0, 0.0, 7.0], "max": [90.0, 100.0, 7.0], "mean": [0.0, 50.0, 7.0]},
    "observation.state": {"min": [-91.0, 0.0, 7.0], "max": [90.0, 99.0, 7.0], "mean": [120.0, 40.0, 7.0]},
}
NAMES = ["shoulder_pan.pos", "gripper.pos", "lift.pos"]
INFO = {"fps": 30, "features": {"action": {"names": NAMES}, "observation.state": {"names": {"motors": NAMES}}}}


def run(*arguments: str | Path, typed: str | None = None) -> Any:
    return CliRunner().invoke(app, ["init", "embodiment", *map(str, arguments)], input=typed)


def written(file: Path, *arguments: str | Path, typed: str | None = None) -> Embodiment:
    result = run(file, *arguments, typed=typed)
    assert result.exit_code == 0, result.output
    return load_embodiment(str(file))


def dataset(folder: Path, stats: Any = STATS, info: Any = INFO) -> Path:
    meta = folder / "meta"
    meta.mkdir()
    (meta / "stats.json").write_text(json.dumps(stats))
    if info is not None:
        (meta / "info.json").write_text(json.dumps(info))
    return meta / "stats.json"


def test_a_urdf_gives_its_moving_joints_with_their_limits_and_top_speeds(tmp_path: Path) -> None:
    (tmp_path / "arm.urdf").write_text(URDF)

    arm = written(tmp_path / "my_arm.json", "--from-urdf", tmp_path / "arm.urdf", "--control-hz", "30")

    assert (arm.name, arm.control_hz) == ("my_arm", 30)
    assert arm.action_names == ("shoulder", "wrist", "finger")
    assert arm.action_units == ("rad", "rad", "m")
    assert arm.action_low == pytest.approx((-1.5, -3.141593, 0.01))
    assert arm.action_high == pytest.approx((1.5, 3.141593, 0.04))
    assert arm.action_max_step == pytest.approx((0.1, 0.2, 0.2 / 30), abs=1e-6)
    assert arm.mean_state == pytest.approx((0.0, 0.0, 0.01))


def test_a_datasets_statistics_give_ranges_rate_and_names(tmp_path: Path) -> None:
    arm = written(tmp_path / "arm.json", "--from-stats", dataset(tmp_path), "--unit", "deg")

    assert arm.control_hz == 30
    assert arm.action_names == arm.state_names == ("shoulder_pan", "gripper", "lift")
    assert set(arm.action_units) == {"deg"}
    assert arm.action_low[:2] == (-90.0, 0.0)
    assert arm.action_high[:2] == (90.0, 100.0)
    assert arm.action_max_step[:2] == pytest.approx((6.0, 100 / 30), abs=1e-6)
    assert any("a guess" in source.what for source in arm.sources)


def test_a_mean_beside_the_range_of_its_action_is_brought_to_its_end_and_a_still_axis_stays_still(
    tmp_path: Path,
) -> None:
    arm = written(tmp_path / "arm.json", "--from-stats", dataset(tmp_path))

    assert arm.mean_state[0] == 90.0
    assert arm.action_high[2] - arm.action_low[2] == pytest.approx(0.014)


def test_without_info_the_axes_are_numbered_and_the_rate_must_be_given(tmp_path: Path) -> None:
    stats = dataset(tmp_path, info=None)

    refused = run(tmp_path / "arm.json", "--from-stats", stats)
    arm = written(tmp_path / "arm.json", "--from-stats", stats, "--control-hz", "10")

    assert refused.exit_code == 1
    assert "give --control-hz" in refused.stderr
    assert arm.action_names == ("action_0", "action_1", "action_2")


def test_by_questions_it_asks_for_what_it_needs_and_no_more(tmp_path: Path) -> None:
    typed = "20\nlift, gripper\nm\n0\n0.8\n0.2\npercent\n0\n100\n200\ndata sheet, page 4\nA lift.\n"

    arm = written(tmp_path / "lift.json", typed=typed)

    assert (arm.action_names, arm.action_units) == (("lift", "gripper"), ("m", "percent"))
    assert arm.action_max_step == (0.01, 10.0)
    assert (arm.description, arm.sources[0].source) == ("A lift.", "data sheet, page 4")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no xml", "is not XML"),
        ("<robot/>", "no joint that moves"),
        ("<sdf/>", "its root is <sdf>, not <robot>"),
        (URDF.replace(' velocity="3"', ""), "joint 'shoulder' has no velocity"),
        (
            URDF.replace(' velocity="3"', ' velocity="${pi}"'),
            "joint 'shoulder': velocity='${pi}' is no number; expand the xacro first",
        ),
        (URDF.replace(' velocity="3"', ' velocity="NaN"'), "joint 'shoulder': velocity='NaN' is no finite number"),
        (URDF.replace('upper="1.5"', 'upper="1.5 rad"'), "joint 'shoulder': upper='1.5 rad' is no number"),
        (URDF.replace('upper="1.5"', 'upper="-1.5"'), "shoulder: action_low must be below action_high"),
        (URDF.replace('upper="1.5"', 'upper="inf"'), "nothing was written"),
        (URDF.replace("wrist", "shoulder"), "must be different from each other"),
    ],
)
def test_a_urdf_that_says_too_little_is_a_sentence_and_nothing_is_written(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "arm.urdf").write_text(text)
    result = run(tmp_path / "arm.json", "--from-urdf", tmp_path / "arm.urdf")

    assert result.exit_code == 1
    assert sentence in result.stderr
    assert not (tmp_path / "arm.json").exists()


@pytest.mark.parametrize(
    "stats",
    [
        [],
        {},
        {"action": 3},
        {**STATS, "action": {"min": [0.0], "max": [1.0, 2.0]}},
        {**STATS, "action": {"min": [], "max": []}},
        {**STATS, "action": {"min": [[0.0]], "max": [[1.0]]}},
        {**STATS, "action": {"min": [float("nan")], "max": [1.0]}},
        {**STATS, "action": {"min": [True], "max": [False]}},
        {"action": STATS["action"]},
    ],
)
def test_statistics_that_are_none_are_a_sentence_and_nothing_is_written(tmp_path: Path, stats: Any) -> None:
    result = run(tmp_path / "arm.json", "--from-stats", dataset(tmp_path, stats), "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "setup"
    assert not (tmp_path / "arm.json").exists()


def test_a_file_that_is_there_is_kept_unless_it_shall_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "arm.urdf").write_text(URDF)
    file = tmp_path / "arm.json"
    file.write_text("mine")

    refused = run(file, "--from-urdf", tmp_path / "arm.urdf")

    assert (refused.exit_code, file.read_text()) == (1, "mine")
    assert "--replace" in refused.stderr
    assert written(file, "--from-urdf", tmp_path / "arm.urdf", "--replace").control_hz == 20


@pytest.mark.parametrize("name", ["My Arm", "../arm", ""])
def test_a_name_that_is_none_is_refused_with_the_rule(tmp_path: Path, name: str) -> None:
    (tmp_path / "arm.urdf").write_text(URDF)
    result = run(tmp_path / "UP arm.json", "--from-urdf", tmp_path / "arm.urdf", "--name", name)

    assert result.exit_code == 1
    assert "name must be 1 to 64 lowercase letters" in result.stderr
    assert f"{name!r} is none: choose one with --name" in result.stderr


@pytest.mark.parametrize("file", ["UP arm.json", "_arm.json", "my.arm.json", f"{'a' * 65}.json"])
def test_a_files_name_that_makes_none_is_told_before_anything_is_asked(tmp_path: Path, file: str) -> None:
    result = run(tmp_path / file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("reflex: the embodiment's name must be")
    assert result.stderr.endswith(f"it would be {Path(file).stem.lower()!r}: choose one with --name\n")
    assert not (tmp_path / file).exists()


def test_a_given_name_stands_for_the_files(tmp_path: Path) -> None:
    (tmp_path / "arm.urdf").write_text(URDF)

    assert written(tmp_path / "UP arm.json", "--from-urdf", tmp_path / "arm.urdf", "--name", "up_arm").name == "up_arm"


def test_both_sources_or_no_rate_at_all_are_wrong_usage(tmp_path: Path) -> None:
    both = run(tmp_path / "a.json", "--from-urdf", "x", "--from-stats", "y")

    assert both.exit_code == 2
    assert run(tmp_path / "a.json", "--from-urdf", "x", "--control-hz", "0").exit_code == 2
