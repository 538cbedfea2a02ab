"""Embodiment files: what comes with Reflex is right, and anything doubtful is refused with what to fix."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from reflex.embodiments import Embodiment, StopLadder, bundled_embodiments, load_embodiment
from reflex.errors import SetupError

GOOD: dict[str, Any] = {
    "name": "two_axes",
    "description": "A slide with a gripper.",
    "state_names": ["slide", "gripper"],
    "state_units": ["m", "percent_open"],
    "mean_state": [0.5, 50.0],
    "action_names": ["slide", "gripper"],
    "action_units": ["m", "percent_open"],
    "action_low": [0.0, 0],
    "action_high": [1.0, 100],
    "action_max_step": [0.05, 100],
    "control_hz": 20,
    "sources": [{"what": "all limits", "source": "the data sheet"}],
}


def write(folder: Path, text: str | bytes) -> str:
    file = folder / "arm.json"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(file)


def test_a_file_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    embodiment = load_embodiment(write(tmp_path, json.dumps(GOOD)))
    assert embodiment.name == "two_axes"
    assert (embodiment.state_dim, embodiment.action_dim) == (2, 2)
    assert embodiment.action_high == (1.0, 100.0)
    assert embodiment.sources[0].source == "the data sheet"


def test_an_embodiment_cannot_be_changed() -> None:
    embodiment = load_embodiment("franka")
    with pytest.raises(FrozenInstanceError):
        embodiment.action_low = ()  # type: ignore[misc]


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_missing_field_is_refused_by_name(field: str, tmp_path: Path) -> None:
    content = {key: value for key, value in GOOD.items() if key != field}
    with pytest.raises(SetupError, match=f"arm.json: {field}: .*correct the file"):
        load_embodiment(write(tmp_path, json.dumps(content)))


BAD_FIELDS: list[tuple[str, object, str]] = [
    ("action_hgih", [1, 2], "action_hgih"),
    ("name", "", "name must be"),
    ("name", "Two Axes", "name must be"),
    ("name", "a" * 65, "name must be"),
    ("name", "two\n", "name must be"),
    ("name", 7, "name"),
    ("state_names", [], "state_names must name at least one axis"),
    ("state_names", ["slide", "slide"], "state_names must be different"),
    ("state_names", ["slide"], "mean_state must have one entry per axis"),
    ("state_units", ["m"], "mean_state must have one entry per axis"),
    ("state_units", ["m", ""], "must not be empty"),
    ("mean_state", [0.5], "mean_state must have one entry per axis"),
    ("mean_state", [0.5, 101.0], "gripper: mean_state lies outside"),
    ("mean_state", [0.5, -0.1], "gripper: mean_state lies outside"),
    ("mean_state", ["0.5", 50], "mean_state.0"),
    ("mean_state", [True, 50], "mean_state.0"),
    ("mean_state", [None, 50], "mean_state.0"),
    ("action_names", [], "action_names must name at least one axis"),
    ("action_names", ["slide", ""], "action_names must be different from each other and not empty"),
    ("action_names", ["a", "b", "c"], "one entry per axis, but have"),
    ("action_units", ["m"], "one entry per axis"),
    ("action_low", [0.0], "one entry per axis"),
    ("action_low", [1.0, 0.0], "slide: action_low must be below action_high"),
    ("action_low", [2.0, 0.0], "slide: action_low must be below action_high"),
    ("action_low", [-1e7, 0.0], "slide: action_low must be below action_high, both within"),
    ("action_low", 0.0, "action_low"),
    ("action_high", [1.0], "one entry per axis"),
    ("action_high", [1.0, 1e300], "gripper: action_low must be below action_high, both within"),
    ("action_max_step", [0.05], "one entry per axis"),
    ("action_max_step", [0.0, 100], "slide: action_max_step must be between"),
    ("action_max_step", [-0.05, 100], "slide: action_max_step must be between"),
    ("action_max_step", [1e-9, 100], "slide: action_max_step must be between"),
    ("action_max_step", [0.05, 1e12], "gripper: action_max_step must be between"),
    ("control_hz", 0, "control_hz must be above 0"),
    ("control_hz", -20, "control_hz must be above 0"),
    ("control_hz", 1e6, "control_hz must be above 0"),
    ("control_hz", "20", "control_hz"),
    ("sources", [], "sources must say"),
    ("sources", [{"what": "limits", "source": ""}], "sources must say"),
    ("sources", [{"what": "limits"}], "sources.0.source"),
    ("sources", [{"what": "limits", "source": "a", "page": 3}], "sources.0.page"),
    ("description", None, "description"),
]

LADDER: dict[str, Any] = {"rungs": ["hold", "return_to_rest"], "rest_pose": [0.1, 5], "rest_speed": [0.2, 50]}
BAD_LADDERS: list[tuple[dict[str, object], str]] = [
    ({"rungs": []}, "rungs must have at least one of hold, return_to_rest, release"),
    ({"rungs": ["return_to_rest", "hold"]}, "in that order"),
    ({"rungs": ["hold", "hold"]}, "each once"),
    ({"rungs": ["hold", "float"]}, "stop_ladder.rungs.1"),
    ({"rungs": ["hold"]}, "rest_pose and rest_speed are given exactly when"),
    ({"rest_pose": None}, "rest_pose and rest_speed are given exactly when"),
    ({"rest_speed": None}, "rest_pose and rest_speed are given exactly when"),
    ({"rungs": ["hold", "return_to_rest", "release"]}, "release_is_safe must be true"),
    ({"rest_pose": [0.1]}, "must have 2 values, one an action axis"),
    ({"rest_speed": [0.2, 50, 1]}, "must have 2 values, one an action axis"),
    ({"rest_pose": [1.1, 5]}, "rest_pose: slide lies outside its range, 0 to 1"),
    ({"rest_pose": [0.1, -5]}, "rest_pose: gripper lies outside its range"),
    ({"rest_speed": [1.1, 50]}, "rest_speed: slide must be above 0 and at most 1 per second"),
    ({"rest_speed": [0.2, 0]}, "rest_speed: gripper must be above 0"),
    ({"hold_after_ms": 0}, "hold_after_ms must be above 0"),
    ({"hold_after_ms": 1000}, "hold_after_ms must be above 0 and below stop_after_ms"),
    ({"stop_after_ms": 60_001}, "at most 60000"),
    ({"hold_after_ms": 1.5}, "stop_ladder.hold_after_ms"),
    ({"speed": 3}, "stop_ladder.speed: no such field is known"),
]


@pytest.mark.parametrize(("change", "complaint"), BAD_LADDERS, ids=lambda value: str(value)[:40])
def test_a_bad_stop_ladder_is_refused_with_what_to_fix(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    content = GOOD | {"stop_ladder": {key: value for key, value in (LADDER | change).items() if value is not None}}
    with pytest.raises(SetupError, match=rf"arm\.json: .*{complaint}.*correct the file"):
        load_embodiment(write(tmp_path, json.dumps(content)))


def test_a_stop_ladder_is_read_and_one_without_has_none(tmp_path: Path) -> None:
    assert load_embodiment(write(tmp_path, json.dumps(GOOD))).stop_ladder is None
    ladder = load_embodiment(write(tmp_path, json.dumps(GOOD | {"stop_ladder": LADDER}))).stop_ladder
    assert ladder == StopLadder(rungs=("hold", "return_to_rest"), rest_pose=(0.1, 5), rest_speed=(0.2, 50))
    assert ladder is not None
    assert (ladder.hold_after_ms, ladder.stop_after_ms, ladder.release_is_safe) == (200, 1000, False)


def test_a_ladder_that_fits_other_axes_is_refused_with_numbers_that_are_none_too() -> None:
    embodiment = load_embodiment("so101")
    assert embodiment.stop_ladder is not None
    nan = (math.nan,) * 6
    for ladder in (replace(embodiment.stop_ladder, rest_pose=nan), replace(embodiment.stop_ladder, rest_speed=nan)):
        with pytest.raises(ValueError, match="stop_ladder: rest_"):
            replace(embodiment, stop_ladder=ladder)


@pytest.mark.parametrize(("field", "value", "complaint"), BAD_FIELDS, ids=lambda value: str(value)[:30])
def test_a_bad_field_is_refused_with_what_to_fix(field: str, value: object, complaint: str, tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD) | {field: value}
    with pytest.raises(SetupError, match=complaint) as caught:
        load_embodiment(write(tmp_path, json.dumps(content)))
    assert "correct the file" in str(caught.value)
    assert "arm.json" in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, '"nan"'])
@pytest.mark.parametrize("field", ["mean_state", "action_low", "action_high", "action_max_step"])
def test_a_limit_that_is_not_a_finite_number_is_refused(field: str, number: str, tmp_path: Path) -> None:
    text = json.dumps(GOOD | {field: ["@", GOOD[field][1]]}).replace('"@"', number)
    with pytest.raises(SetupError, match="correct the file"):
        load_embodiment(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": "a"} {}', json.dumps([GOOD]).encode()],
    ids=["empty", "cut", "list", "null", "not-utf8", "deep", "two-values", "wrapped"],
)
def test_a_file_that_is_not_one_json_object_is_refused(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"arm\.json: .*correct the file"):
        load_embodiment(write(tmp_path, text))


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps(GOOD)[:-1] + ', "action_high": [900.0, 100]}'
    with pytest.raises(SetupError, match="action_high is given twice"):
        load_embodiment(write(tmp_path, text))


def test_a_file_that_an_editor_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "arm.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert load_embodiment(str(path)).name == GOOD["name"]


def test_a_file_that_cannot_be_read_says_so_and_what_else_to_use(tmp_path: Path) -> None:
    for path in (str(tmp_path / "missing.json"), str(tmp_path), "/nul\0.json"):
        with pytest.raises(
            SetupError, match=r"cannot be read .*use one of franka, so101, so101_percent, so101_sim, ur5"
        ):
            load_embodiment(path)


@pytest.mark.parametrize("name", ["", "fanka", "Franka", "franka ", "__init__"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(SetupError, match="franka, so101, so101_percent, so101_sim, ur5, or the path of a JSON file"):
        load_embodiment(name)


def test_an_embodiment_built_in_code_is_checked_too() -> None:
    embodiment = load_embodiment("franka")
    with pytest.raises(ValueError, match="action_low must be below action_high"):
        replace(embodiment, action_low=(math.nan, *embodiment.action_low[1:]))
    with pytest.raises(ValueError, match="action_max_step must be between"):
        replace(embodiment, action_max_step=(math.nan, *embodiment.action_max_step[1:]))
    with pytest.raises(ValueError, match="x: mean_state must be a finite number"):
        replace(embodiment, mean_state=(math.nan, *embodiment.mean_state[1:]))
    with pytest.raises(ValueError, match="control_hz must be above 0"):
        replace(embodiment, control_hz=math.nan)


def test_franka_takes_six_state_values_and_gives_seven_joints() -> None:
    franka = load_embodiment("franka")
    assert (franka.state_dim, franka.action_dim) == (6, 7)


@pytest.mark.parametrize("name", bundled_embodiments())
def test_a_bundled_file_carries_its_own_name_and_its_sources(name: str) -> None:
    embodiment = load_embodiment(name)
    assert embodiment.name == name
    cited = " ".join(source.what for source in embodiment.sources)
    for field in ("action_low", "action_high", "action_max_step", "control_hz", "stop_ladder"):
        assert field in cited


@pytest.mark.parametrize("name", bundled_embodiments())
def test_a_bundled_robot_says_how_it_is_stopped_and_none_of_them_drops_its_arm(name: str) -> None:
    ladder = load_embodiment(name).stop_ladder
    assert ladder is not None
    assert ladder.rungs[0] == "hold"
    assert not ladder.release_is_safe


def test_both_units_of_the_so101_rest_in_the_same_pose_at_the_same_speed() -> None:
    degrees, percent = load_embodiment("so101"), load_embodiment("so101_percent")
    assert degrees.stop_ladder is not None
    assert percent.stop_ladder is not None
    for field in ("rest_pose", "rest_speed"):
        shares = [
            [value / high for value, high in zip(getattr(one.stop_ladder, field), one.action_high, strict=True)]
            for one in (degrees, percent)
        ]
        assert shares[0] == pytest.approx(shares[1], abs=0.002)


SPEED_LIMITS: dict[str, list[float]] = {
    "franka": [2.1750] * 4 + [2.6100] * 3,  # rad/s, as in the file's sources
    "ur5": [math.pi] * 6,
    # 270 degrees/s as a share of each joint's travel in degrees, times the 200 (gripper: 100) units of that travel
    "so101": [270.0] * 5 + [270 / 110 * 100],
    "so101_sim": [270.0] * 5 + [270 / 110 * 100],
    "so101_percent": [270 / travel * 200 for travel in (220, 200, 193.65, 190, 360)] + [270 / 110 * 100],
}


@pytest.mark.parametrize("name", bundled_embodiments())
def test_a_bundled_step_limit_is_the_joints_top_speed_and_never_more(name: str) -> None:
    embodiment: Embodiment = load_embodiment(name)
    for step, speed in zip(embodiment.action_max_step, SPEED_LIMITS[name], strict=True):
        top = speed / embodiment.control_hz
        assert 0.995 * top <= step <= top * (1 + 1e-12)


def test_loading_an_embodiment_needs_no_numpy() -> None:
    code = "import sys, reflex.embodiments as e; e.load_embodiment('ur5'); print('numpy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_every_json_file_beside_the_loader_is_an_embodiment() -> None:
    files = {file.name for file in resources.files("reflex.embodiments").iterdir() if file.name.endswith(".json")}
    assert files == {f"{name}.json" for name in bundled_embodiments()}
    assert bundled_embodiments() == ("franka", "so101", "so101_percent", "so101_sim", "ur5")


def test_so101_is_in_degrees_and_its_percent_are_beside_it_each_with_its_zero() -> None:
    degrees, percent = load_embodiment("so101"), load_embodiment("so101_percent")
    assert set(degrees.action_units[:5]) == {"deg"}
    assert set(percent.action_units[:5]) == {"percent_of_half_range"}
    assert degrees.action_names == percent.action_names
    for embodiment in (degrees, percent):
        assert "Zero is the middle between each joint's two end stops" in embodiment.description


def test_the_simulated_arm_has_the_interface_of_the_real_one_and_says_that_it_is_none() -> None:
    real, simulated = load_embodiment("so101"), load_embodiment("so101_sim")
    own = replace(real, name=simulated.name, description=simulated.description, sources=simulated.sources)
    assert replace(own, simulation=True, stop_ladder=simulated.stop_ladder) == simulated
    assert [name for name in bundled_embodiments() if load_embodiment(name).simulation] == ["so101_sim"]
