"""Everything is looked at, nothing is started, and what fails is a sentence with its fix."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import CameraFrame, Observation
from reflex.errors import SetupError
from reflex.readiness.checking import Check, failed, passed, warned
from reflex_runner.config.sections import RecordingConfig, RobotConfig
from reflex_runner.errors import PreflightError
from reflex_runner.preflight import machine_checks
from reflex_runner.preflight.examining import examine
from reflex_runner.preflight.refusal import refuse_failed
from reflex_runner.preflight.robot_facts import facts_of
from support.runner.served import robot_yaml, served


class Arm:
    embodiment = "so101"
    calibration_id = "sha256:1"
    camera_names = ["image"]  # noqa: RUF012 - as users write it

    def start(self) -> None:
        raise AssertionError("nothing is started")

    def get_observation(self) -> Observation:
        return Observation(np.zeros(6, np.float32))

    def apply_action(self, _chunk: object) -> None:
        raise AssertionError("nothing moves")

    def safe_stop(self, _reason: str = "") -> None:
        raise AssertionError("nothing moves")

    def stop(self) -> None:
        raise AssertionError("nothing was started")


def examined(config: RobotConfig, build: Any = Arm, **cameras: Any) -> dict[str, Check]:
    checks = examine(
        config, "dry_run", build_robot=build, build_cameras=cameras, look=lambda: served("so101"), doctor=None
    )  # fmt: skip
    return {each.id: each for each in checks}


def test_a_robot_that_fits_passes_without_being_started(tmp_path: Path) -> None:
    config = replace(robot_yaml(), recording=RecordingConfig(tmp_path / "a" / "b"))
    checks = examined(config)
    assert {each.status for each in checks.values()} <= {"pass", "warn", "skip"}
    assert list(checks)[:5] == ["config", "packages", "hardware", "recording", "server"]
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_built_is_said_and_the_rest_is_looked_at_all_the_same() -> None:
    def broken() -> Any:
        raise SetupError("hardware: no setting is called 'prot'")

    checks = examined(robot_yaml(), broken, wrist=broken)
    assert (checks["hardware"].status, checks["camera wrist"].status) == ("fail", "fail")
    assert "no setting is called" in checks["hardware"].message
    assert checks["server"].status == "pass"


class Camera:
    rate_hz = None

    def __init__(self, problem: str | None = None, *, sees: bool = False) -> None:
        self.problem, self.sees, self.is_open = problem, sees, False

    def start(self) -> None:
        self.is_open = True

    def latest(self) -> CameraFrame | None:
        return CameraFrame(b"", 1.0) if self.sees else None

    def stop(self) -> None:
        self.is_open = False


@pytest.mark.parametrize(
    ("camera", "status", "message"),
    [
        (Camera(sees=True), "pass", "gives pictures"),
        (Camera("cannot be opened as 9"), "fail", "cannot be opened as 9"),
        (Camera(), "fail", "it gave no picture within 0.05 s"),
    ],
)
def test_a_camera_is_looked_through_and_given_back(
    camera: Camera, status: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "PICTURE_WITHIN_S", 0.05)
    monkeypatch.setattr(machine_checks, "PROBLEM_STAYS_S", 0.05)
    check = examined(robot_yaml(), front=lambda: camera)["camera front"]
    assert (check.status, check.message) == (status, message)
    assert not camera.is_open


def test_a_package_that_is_missing_is_said_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "find_spec", lambda name: None if name == "mujoco" else object())
    checks = examined(robot_yaml(kind="sim"))
    assert checks["packages"].message == "mujoco is not installed"
    assert "sim" in (checks["packages"].fix or "")
    assert "hardware" not in checks


def test_a_recording_needs_a_folder_and_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(robot_yaml(), recording=RecordingConfig(tmp_path / "kept"))
    assert machine_checks.recording(config).status == "pass"
    assert machine_checks.recording(replace(config, recording=config.recording.off())).status == "skip"
    monkeypatch.setattr(machine_checks, "LEAST_FREE_BYTES", 2**80)
    assert machine_checks.recording(config).status == "warn"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert machine_checks.recording(config).status == "fail"


def test_a_connector_may_say_what_it_is_and_what_it_says_wrongly_is_nothing() -> None:
    facts = facts_of("arms:Arm", Arm())
    assert (facts.embodiment, facts.cameras, facts.calibration_id) == ("so101", ("image",), "sha256:1")
    odd = type("Odd", (Arm,), {"embodiment": 3, "units": "degrees", "is_simulation": "yes"})()
    assert (facts_of("a:B", odd).embodiment, facts_of("a:B", odd).units, facts_of("a:B", odd).is_simulated) == (
        None, None, False,
    )  # fmt: skip
    assert facts_of("so101", type("Bus", (), {})()).cameras == ()


def test_a_run_is_refused_with_every_failure_and_its_fix() -> None:
    refuse_failed([passed("a", "fine"), warned("b", "odd")])
    with pytest.raises(PreflightError) as refused:
        refuse_failed([failed("units", "they differ", "change them"), passed("a", "fine"), failed("x", "y", "z")])
    assert str(refused.value) == "units: they differ; change them\nx: y; z"
