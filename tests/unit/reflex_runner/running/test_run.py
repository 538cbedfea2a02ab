"""A run, from its settings to its result: nothing moves that may not, and what stops it is said."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reflex.connector.marks import EpisodeMarks
from reflex.control.errors import MissingKeyError
from reflex.errors import SetupError, UnauthorizedError
from reflex_runner.config.sections import (
    HardwareConfig,
    RecordingConfig,
    RobotConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)
from reflex_runner.errors import PreflightError
from reflex_runner.running import run as run_module
from reflex_runner.running.options import RunOptions
from reflex_runner.running.parts import problems_of
from reflex_runner.running.run import Outcome, run, run_from_config
from support.runner.plane import Plane
from support.runner.quick import GONE, NeverStarted, QuickArm, QuickServer, chunk_for, patient_target, quick_server

STEPS = 12
PATIENT = SafetyConfig(hold_after_ms=20_000, stop_after_ms=50_000)
"""A busy machine is no silent server."""


@pytest.fixture(scope="module")
def shared() -> Iterator[QuickServer]:
    with quick_server() as made:
        yield made


@pytest.fixture
def server(shared: QuickServer) -> Iterator[QuickServer]:
    act, config = shared.act, dict(shared.config)
    yield shared
    shared.act, shared.config = act, config
    shared.bodies.clear()
    shared.keys.clear()


def settings(server: QuickServer, **session: Any) -> RobotConfig:
    return RobotConfig(
        hardware=HardwareConfig("arms:Quick"),
        session=SessionConfig(**{"max_steps": STEPS, **session}),
        target=TargetConfig(**patient_target(server.url)),
        recording=RecordingConfig().off(),
        safety=PATIENT,
    )


def ran(config: RobotConfig, arm: QuickArm, **options: Any) -> Outcome:
    return run(config, RunOptions(**options), build_robot=lambda: arm)


def test_a_dry_run_asks_and_moves_nothing(server: QuickServer) -> None:
    arm = QuickArm()
    outcome = ran(settings(server), arm)
    assert outcome.result.ok, outcome.result.errors
    assert (outcome.result.steps, outcome.result.applied_steps, arm.commands) == (STEPS, 0, [])
    assert arm.told == ["start", "stop"]
    assert server.bodies


def test_what_may_move_is_moved_and_is_brought_to_its_stop(server: QuickServer) -> None:
    arm = QuickArm()
    outcome = ran(settings(server, mode="apply_actions"), arm)
    assert outcome.result.ok, outcome.result.errors
    assert outcome.result.applied_steps == STEPS
    assert len(arm.commands) >= STEPS
    assert arm.told[0] == "start"
    assert arm.told[-1] == "stop"
    told = outcome.as_json()
    assert list(told)[:6] == ["ok", "config", "steps", "appliedSteps", "safeStops", "errors"]


def test_the_command_line_makes_a_run_stricter_and_never_less_strict(server: QuickServer) -> None:
    stricter, arm = QuickArm(), QuickArm()
    assert ran(settings(server, mode="apply_actions"), stricter, mode="dry_run").mode == "dry_run"
    assert ran(settings(server), arm, mode="apply_actions", max_steps=3).result.steps == 3
    assert (stricter.commands, arm.commands) == ([], [])


def test_a_policy_of_another_robot_is_refused_before_the_robot_is_started(server: QuickServer) -> None:
    server.config["cameras"] = [{"name": "front", "required": True}]
    arm = QuickArm()
    with pytest.raises(PreflightError, match="cameras: demo needs front, and there is no camera; add front to cameras"):
        ran(settings(server, mode="apply_actions"), arm)
    assert arm.told == []


def test_a_server_that_refuses_the_key_ends_the_run_with_its_words(server: QuickServer) -> None:
    server.act = lambda _body: (401, {"error": "unauthorized", "message": "no such key", "request_id": "r"})
    outcome = ran(settings(server), QuickArm())
    assert (outcome.result.ok, outcome.result.errors[0].code) == (False, "unauthorized")
    assert "no such key" in outcome.result.errors[0].message


def test_a_key_goes_to_the_server_where_there_is_no_session(server: QuickServer) -> None:
    key = "rfx_" + "0" * 36
    with contextlib.suppress(UnauthorizedError, SetupError):
        ran(settings(server), QuickArm(), api_key=key)
    assert not server.keys or server.keys[-1] == f"Bearer {key}"


def test_a_server_that_is_not_there_is_said_after_a_while(server: QuickServer) -> None:
    config = replace(settings(server), target=TargetConfig(**patient_target(GONE)))
    with pytest.raises(Exception, match="cannot be reached"):
        ran(config, QuickArm())


@pytest.mark.slow
def test_a_run_is_recorded_where_it_is_asked_for(server: QuickServer, tmp_path: Path) -> None:
    config = replace(settings(server), recording=RecordingConfig(tmp_path))
    outcome = ran(config, QuickArm())
    (folder,) = outcome.recordings
    assert folder.parent == tmp_path
    assert (folder / "recording.json").is_file()
    assert ran(config, QuickArm(), records=False).recordings == ()


@pytest.mark.slow
def test_a_recording_is_executed_again_without_asking_a_server(server: QuickServer, tmp_path: Path) -> None:
    server.act = lambda body: (200, chunk_for({**body, "state": [3.0, 0.0, 0.0, 0.0, 0.0, 50.0]}))
    recording = RecordingConfig(dir=tmp_path, formats=("jsonl",))
    at_once = replace(settings(server, mode="apply_actions", max_steps=60), safety=replace(PATIENT, ease_in_s=0.1))
    first, again = QuickArm(), QuickArm()
    (folder,) = ran(replace(at_once, recording=recording), first).recordings
    asked = len(server.bodies)

    outcome = ran(at_once, again, replay=folder, max_steps=0)
    assert outcome.result.ok, outcome.result.errors
    assert outcome.result.applied_steps >= 50
    assert again.commands[-1] == pytest.approx(first.commands[-1], abs=0.2)
    assert len(server.bodies) == asked


def test_a_replay_is_no_run_of_a_deployment(server: QuickServer, tmp_path: Path) -> None:
    config = settings(server, deployment_id="deploy_1", robot_id="robot_1")
    with pytest.raises(SetupError, match="leave deployment_id out"):
        ran(config, NeverStarted(), replay=tmp_path)


@pytest.mark.slow
def test_a_run_can_be_looked_at_and_says_where(server: QuickServer, tmp_path: Path) -> None:
    said: list[str] = []
    config = replace(settings(server), recording=RecordingConfig(tmp_path))
    assert ran(config, QuickArm(), view=True, say=said.append).result.ok
    assert said[0].startswith("the run can be watched at http://127.0.0.1:")


def test_whoever_wants_to_know_is_told_the_numbers_and_cannot_stop_the_run(server: QuickServer) -> None:
    beats: list[Any] = []

    def on_heartbeat(numbers: Any) -> None:
        beats.append(numbers)
        raise ZeroDivisionError

    config = settings(server, heartbeat_interval_s=0.05)
    assert run(config, RunOptions(), on_heartbeat, build_robot=QuickArm).result.ok
    assert beats[-1]["steps"] == STEPS
    assert "lastActionChunk" not in beats[-1]


@pytest.mark.slow
def test_a_file_names_a_class_beside_it(server: QuickServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "quick_arm_of_a_user.py").write_text("from support.runner.quick import QuickArm as Own\n", "utf-8")
    (tmp_path / "robot.yaml").write_text(
        f"hardware: {{kind: 'quick_arm_of_a_user:Own', ends_after: 1000}}\ntarget: {{url: '{server.url}'}}\n"
        f"session: {{max_steps: {STEPS}}}\n",
        "utf-8",
    )
    result = run_from_config(tmp_path / "robot.yaml")
    assert (result.ok, result.steps) == (True, STEPS)
    assert (tmp_path / "recordings").is_dir()


@contextlib.contextmanager
def at(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    @contextlib.contextmanager
    def opened(*_: object, **__: object) -> Iterator[Plane]:
        yield plane

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "open_client", opened)
        yield


def in_session(server: QuickServer, **session: Any) -> RobotConfig:
    own = settings(server, deployment_id="deploy_1", heartbeat_interval_s=0.05, **session)
    return replace(own, target=replace(own.target, url=None))


def test_a_session_brings_its_server_and_its_credential_and_is_closed(
    server: QuickServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(mode="dry_run", act_url=server.url)
    with at(plane, monkeypatch):
        outcome = ran(in_session(server), QuickArm())
    assert (outcome.result.ok, outcome.session_id) == (True, "sess_1")
    assert {str(key)[:16] for key in server.keys} == {"Bearer rfx_sess_"}
    assert plane.closed == ["sess_1: runner_ended"]
    assert plane.beats[-1]["steps"] == STEPS


def test_a_session_that_is_closed_ends_applying_and_its_stop_is_on_the_record(
    server: QuickServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, arm = Plane(act_url=server.url), QuickArm()

    def close_it() -> None:
        if len(arm.commands) > 3:
            plane.mode = "dry_run"

    arm.on_observed = close_it
    with at(plane, monkeypatch):
        outcome = ran(in_session(server, mode="apply_actions", max_steps=0), arm)
    assert outcome.result.errors[0].code == "not_permitted"
    assert outcome.result.errors[0].message.startswith("Session is still in dry_run: promote it with")
    assert len(plane.stops) == 1
    assert plane.stops[0].startswith("sess_1: not_permitted")


def test_a_dry_run_of_a_session_becomes_a_run_that_moves_when_it_is_promoted(
    server: QuickServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(mode="dry_run", act_url=server.url, refuses_to_apply=True)
    arms: list[QuickArm] = []
    said: list[str] = []

    def promote() -> None:
        if len(server.bodies) > 2:
            plane.mode = "apply_actions"

    def build() -> QuickArm:
        arms.append(QuickArm(ends_after=STEPS if arms else None))
        arms[-1].on_observed = promote
        return arms[-1]

    with at(plane, monkeypatch):
        config = in_session(server, mode="apply_actions", max_steps=0)
        outcome = run(config, RunOptions(say=said.append), build_robot=build)
    assert [each.startswith("Session is still in dry_run") for each in said] == [True]
    assert [len(arm.commands) > 0 for arm in arms] == [False, True]
    assert (outcome.mode, outcome.result.ok) == ("apply_actions", True)


def test_a_session_needs_a_key(server: QuickServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REFLEX_CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("REFLEX_API_KEY", raising=False)
    with pytest.raises(MissingKeyError, match="API key is required"):
        ran(in_session(server), QuickArm())


@pytest.mark.slow
def test_only_what_is_marked_is_recorded_and_the_policy_is_told_its_instruction(
    server: QuickServer, tmp_path: Path
) -> None:
    marks, arm = EpisodeMarks(), QuickArm()

    def mark() -> None:
        if len(server.bodies) == 3 and not marks.is_open and not marks.successes:
            marks.begin("grasp it")
        if len(server.bodies) > 8 and marks.is_open:
            marks.end(success=True)

    arm.on_observed = mark
    config = replace(settings(server, max_steps=0, instruction="pick"), recording=RecordingConfig(tmp_path))
    arm.ends_after = None
    server.act = lambda body: (200, chunk_for(body)) if len(server.bodies) < 12 else (401, {"error": "unauthorized"})
    (folder,) = ran(config, arm, episodes=marks).recordings
    (line,) = [json.loads(each) for each in (folder / "episodes.jsonl").read_text().splitlines()]
    assert (line["instruction"], line["success"], line["reason"]) == ("grasp it", True, "ended")
    assert {body["instruction"] for body in server.bodies} == {"pick", "grasp it"}


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False, None])
def test_a_robot_that_knows_how_it_went_says_so_of_its_only_episode(
    server: QuickServer, tmp_path: Path, known: bool | None
) -> None:
    arm = QuickArm()
    arm.succeeded = known  # type: ignore[attr-defined]
    config = replace(settings(server), recording=RecordingConfig(tmp_path))
    (folder,) = ran(config, arm).recordings
    (line,) = [json.loads(each) for each in (folder / "episodes.jsonl").read_text().splitlines()]
    assert line["success"] is known


@pytest.mark.slow
def test_what_is_wrong_with_each_camera_is_told_of_those_alone_that_have_something() -> None:
    class Eye:
        def __init__(self, problem: str | None) -> None:
            self.problem = problem

    wrist = Eye(None)
    problems = problems_of({"wrist": wrist, "top": Eye("top is frozen")})  # type: ignore[dict-item]
    assert problems() == {"top": "top is frozen"}
    wrist.problem = "wrist is gone"
    assert set(problems()) == {"wrist", "top"}


@pytest.mark.slow
@pytest.mark.parametrize(("other", "is_asked"), [("sha256:" + "a" * 64, True), ("sha256:" + "b" * 64, False)])
def test_when_a_deployments_first_server_is_away_the_next_of_the_same_policy_is_asked(
    server: QuickServer, monkeypatch: pytest.MonkeyPatch, other: str, is_asked: bool
) -> None:
    away = (503, {"error": "unavailable", "message": "it starts", "request_id": "r"})
    server.config["policy_hash"] = "sha256:" + "a" * 64
    server.act = lambda body: (200, chunk_for(body)) if len(server.bodies) < 3 else away
    with quick_server() as second:
        second.config["policy_hash"] = other
        plane = Plane(mode="apply_actions", act_url=[server.url, second.url])
        config = in_session(server, mode="apply_actions", max_steps=0)
        short = replace(config, target=replace(config.target, timeout_s=0.2))
        arm = QuickArm()

        def end() -> None:
            is_over = len(second.bodies) > 2 if is_asked else len(server.bodies) > 12
            arm.ends_after = 0 if is_over else None

        arm.on_observed = end
        with at(plane, monkeypatch):
            outcome = ran(replace(short, safety=PATIENT), arm)
        assert outcome.result.ok, outcome.result.errors
        assert bool(second.bodies) is is_asked
    if is_asked:
        assert "executed_steps" not in second.bodies[0], "it knows nothing of the chunks before"
        assert second.bodies[0]["episode_id"] != server.bodies[0]["episode_id"]
