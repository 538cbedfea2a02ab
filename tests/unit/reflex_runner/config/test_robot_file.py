"""A `robot.yaml` is read whole, with paths beside the file, or refused with the name of what is wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_runner.config import RobotConfig, SessionConfig, TargetConfig, load_robot_config
from reflex_runner.config.robot_file import parse_robot_config

SIM = "hardware: {kind: sim}\n"


def loaded(folder: Path, text: str, environment: dict[str, str] | None = None) -> RobotConfig:
    path = folder / "robot.yaml"
    path.write_text(text, encoding="utf-8")
    return load_robot_config(path, environment or {})


def test_a_robot_is_enough_and_it_does_not_move(tmp_path: Path) -> None:
    config = loaded(tmp_path, SIM)
    assert config.session == SessionConfig()
    assert config.session.mode == "dry_run"
    assert config.target == TargetConfig()
    assert config.target.kind == "act"
    assert (config.safety.hold_after_ms, config.safety.stop_after_ms) == (None, None)
    assert config.recording.is_on
    assert config.path == tmp_path / "robot.yaml"


def test_a_section_that_is_only_named_is_empty(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{SIM}session:\ncameras:\nsafety:\n  limits:\n").cameras == {}


def test_paths_are_beside_the_file_and_other_texts_are_as_they_stand(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "hardware: {kind: subprocess, observe: ./observe, cwd: arm, log_file: /var/log/arm, profile: files}\n"
        "cameras: {front: {kind: file, path: videos/a.mp4, fps: 30}}\n"
        "recording: {dir: ../kept}\n",
    )
    assert config.hardware.settings == {
        "observe": "./observe",
        "cwd": str(tmp_path / "arm"),
        "log_file": "/var/log/arm",
        "profile": "files",
    }
    assert config.cameras["front"].settings == {"path": str(tmp_path / "videos/a.mp4")}
    assert config.recording.dir == tmp_path.parent / "kept"


def test_a_kinds_own_settings_stay_with_it(tmp_path: Path) -> None:
    config = loaded(tmp_path, "hardware: {kind: 'arms:MyArm', speed: 3, joints: [a, b]}\n")
    assert (config.hardware.kind, dict(config.hardware.settings)) == ("arms:MyArm", {"speed": 3, "joints": ["a", "b"]})


@pytest.mark.parametrize(("told", "is_on"), [("1", False), ("true", False), ("0", True), ("", True)])
def test_the_environment_can_keep_a_run_from_being_recorded(tmp_path: Path, told: str, is_on: bool) -> None:
    assert loaded(tmp_path, SIM, {"REFLEX_NO_RECORD": told}).recording.is_on is is_on


def test_a_value_of_the_environment_that_says_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="REFLEX_NO_RECORD is 'maybe'; it is 1 to record nothing"):
        loaded(tmp_path, SIM, {"REFLEX_NO_RECORD": "maybe"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sesion": {}}, "no section is called 'sesion'; did you mean 'session'?"),
        ({"session": {"mod": "dry_run"}}, "session: no setting is called 'mod'; did you mean 'mode'?"),
        ({"session": {"mode": "apply"}}, "session.mode: input should be 'dry_run' or 'apply_actions'"),
        ({"session": {"max_steps": "3"}}, "session.max_steps: input should be a valid integer"),
        ({"session": {"max_steps": True}}, "session.max_steps: input should be a valid integer"),
        ({"session": {"stop_on_error": 1}}, "session.stop_on_error: input should be a valid boolean"),
        ({"session": {"control_period_s": float("nan")}}, "session.control_period_s: input should be a finite number"),
        ({"session": {"robot_id": "robot_1"}}, "session.robot_id is given without a deployment_id"),
        ({"session": [1]}, "session must be a section of names and values"),
        ({"target": {"kind": "expert"}, "hardware": {"kind": "so101"}}, "target.kind: the expert knows the simulator"),
        ({"target": {"image_size": [224]}}, "target.image_size.1: field required"),
        ({"target": {"extra_payload": {"state": 1}}}, "target.extra_payload: 'state' is said by the runner itself"),
        ({"target": {"kind": "stream", "state_field": "x"}}, "target: a stream has no extra_payload"),
        ({"target": {"kind": "stream", "seed": 1}}, "target: a stream has no extra_payload, seed"),
        ({"target": {"seed": 1, "extra_payload": {"seed": 1}}}, "target: the seed is given twice"),
        ({"target": {"seed": -1}}, "target.seed: input should be greater than or equal to 0"),
        ({"hardware": {"kind": "so102"}}, "hardware.kind: there is no robot of the kind 'so102'; did you mean 'so101'"),
        ({"hardware": {"port": "x"}}, "hardware.kind: field required"),
        ({"hardware": None}, "there is no hardware: say which robot it is"),
        ({"cameras": {"front": 0}}, "cameras.front must be a section"),
        ({"cameras": {"front": {"kind": "usb"}}}, "cameras.front.kind: input should be 'opencv', 'shm'"),
        ({"cameras": {"front": {"kind": "sim"}}}, "cameras.front: the simulator brings its own cameras; name them by"),
        ({"cameras": {"front": {"kind": "opencv", "rotate": 45}}}, "cameras.front.rotate: input should be 0, 90"),
        ({"cameras": {1: {"kind": "opencv"}}}, "cameras: 1 is no name; put it in quotes"),
        ({"safety": {"hold_after_ms": 2000, "stop_after_ms": 1000}}, "safety: stop_after_ms must be above"),
        ({"safety": {"limits": {"gripper": {"lo": 1}}}}, "safety.limits.gripper: no setting is called 'lo'"),
        ({"safety": {"stop_ladder": []}}, "safety.stop_ladder: tuple should have at least 1 item"),
        ({"recording": {"formats": ["json"]}}, "recording.formats.0: input should be 'lerobot', 'jsonl'"),
        ({"recording": {"dir": 3}}, "recording.dir: input is not a valid path"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError) as refused:
        parse_robot_config({"hardware": {"kind": "sim"}} | given, Path("/robots"))
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SIM}session: {{mode: dry_run, mode: apply_actions}}\n", "'mode' is given twice"),
        ("- sim\n", "holds no mapping"),
        ("hardware: {kind: sim\n", "cannot be read as JSON or YAML"),
        (f"{SIM}sesion: {{}}\n", "robot.yaml: no section is called 'sesion'"),
    ],
)
def test_a_file_that_says_nothing_certain_is_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SetupError, match=said) as refused:
        loaded(tmp_path, text)
    assert str(tmp_path / "robot.yaml") in str(refused.value)


def test_who_has_no_file_hears_where_it_was_looked_for_and_how_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError) as refused:
        load_robot_config("robot.yaml", {})
    assert str(refused.value) == (
        f"there is no {tmp_path / 'robot.yaml'}; name yours, or write one: reflex connect --init so101"
    )
