"""Each episode has its seed, its instruction and its success, and all of them are one recording."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError, TransportError
from reflex_runner.config.sections import (
    CameraConfig,
    HardwareConfig,
    RecordingConfig,
    RobotConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)
from reflex_runner.loop.stopping import INTERRUPTED
from reflex_runner.running.episodes import EpisodePlan, Episodes, play_episodes, seeds_from
from reflex_runner.running.options import RunOptions
from support.runner.quick import QuickArm
from support.runner.reaching import Reaching


def settings(recording: RecordingConfig | None = None, **session: Any) -> RobotConfig:
    return RobotConfig(
        hardware=HardwareConfig("arms:Reaching", {"seed": 5}),
        session=SessionConfig(**{"mode": "apply_actions", "instruction": "pick", "max_steps": 60, **session}),
        target=TargetConfig(kind="expert", connect_timeout_s=0.2),
        safety=SafetyConfig(ease_in_s=0.1),
        recording=recording or RecordingConfig().off(),
    )


def played(arm: Any, *seeds: int, config: RobotConfig | None = None, **options: Any) -> Episodes:
    plans = [EpisodePlan(seed) for seed in seeds]
    return play_episodes(config or settings(), plans, RunOptions(**options), build_robot=lambda: arm)


def test_each_seed_is_an_episode_that_ends_with_its_success_or_its_last_step() -> None:
    arm, said = Reaching(), list[str]()
    went = played(arm, 5, 6, 7, 8, say=said.append)
    assert arm.seeds == [5, 6, 7, 8]
    assert [each.success for each in went.played] == [True, True, False, True], "no arm reaches what 7 asks for"
    assert [each.ended_by for each in went.played] == ["success", "success", "max_steps", "success"]
    assert went.played[2].result.steps == 60
    assert went.played[0].result.steps < 60
    assert (went.successes, went.errors, went.ended_by) == (3, (), None)
    assert said[2] == "episode 3, seed 7: no success after 60 steps"
    assert (arm.told[0], arm.told[-1], arm.told.count("start")) == ("start", "stop", 1)
    told = json.loads(json.dumps(went.as_json()))
    assert (told["ok"], told["asked"], told["played"], told["successes"]) == (True, 4, 4, 3)
    assert told["episodes"][2]["seed"] == 7


@pytest.mark.slow
def test_all_of_them_are_one_recording_whose_episodes_say_how_they_went(tmp_path: Path) -> None:
    config = settings(RecordingConfig(tmp_path, ("jsonl", "lerobot_png")))
    went = played(Reaching(instructed=True), 6, 7, config=config)
    assert went.errors == ()
    (folder,) = went.recordings
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    assert [(line["instruction"], line["success"], line["reason"]) for line in lines] == [
        ("reach 6", True, "ended"), ("reach 7", False, "ended"),
    ]  # fmt: skip
    assert [line["counts"]["ticks"] for line in lines] == [each.result.steps for each in went.played]
    info = json.loads(next(folder.rglob("info.json")).read_text())
    assert (info["total_episodes"], info["fps"]) == (2, 30)
    assert info["total_frames"] == sum(each.result.steps for each in went.played)


def test_an_instruction_is_the_plans_own_the_robots_or_that_of_the_settings() -> None:
    plans = [EpisodePlan(1, "grasp"), EpisodePlan(2)]
    by_robot = play_episodes(settings(), plans, RunOptions(), build_robot=lambda: Reaching(instructed=True))
    assert [each.instruction for each in by_robot.played] == ["grasp", "reach 2"]
    assert played(Reaching(), 2).played[0].instruction == "pick"


def test_a_server_that_is_gone_ends_all_of_them_and_a_bad_policy_only_its_episode() -> None:
    arm = Reaching()

    def gone(_seq: int) -> None:
        if len(arm.seeds) == 2:
            raise TransportError("away")

    arm.fault = gone
    went = played(arm, 1, 2, 3)
    assert [each.ended_by for each in went.played] == ["success", "unreachable"]
    assert went.played[1].success is False
    assert [error.code for error in went.errors] == ["unreachable"]
    assert went.as_json()["ok"] is False

    config = replace(settings(), safety=SafetyConfig(max_clamped_steps=1, ease_in_s=0.0))
    mad = played(Reaching(is_mad=True), 7, 14, config=config)
    assert [each.ended_by for each in mad.played] == ["clamped_steps"] * 2
    assert mad.errors == ()


def test_an_operator_ends_all_of_them() -> None:
    class Interrupting(Reaching):
        def get_observation(self) -> Any:
            if len(self.seeds) == 2:
                signal.raise_signal(signal.SIGINT)
            return super().get_observation()

    arm = Interrupting()
    went = played(arm, 1, 2, 3)
    assert (len(went.played), went.ended_by) == (2, INTERRUPTED)
    assert went.as_json()["ok"] is False


@pytest.mark.parametrize(
    ("config", "arm", "complaint"),
    [
        (settings(mode="dry_run"), Reaching(), "in dry_run nothing moves"),
        (settings(deployment_id="deploy_1"), Reaching(), "leave deployment_id out"),
        (replace(settings(), cameras={"front": CameraConfig("opencv")}), Reaching(), "leave the section out"),
        (settings(), QuickArm(), r"reset\(seed\)"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_begins(config: RobotConfig, arm: Any, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        played(arm, 1, config=config)
    assert arm.told == []


def test_seeds_follow_that_of_the_settings() -> None:
    assert [plan.seed for plan in seeds_from(settings(), 3)] == [5, 6, 7]
    assert [plan.seed for plan in seeds_from(replace(settings(), hardware=HardwareConfig("sim")), 2)] == [0, 1]


@pytest.mark.slow
def test_a_robot_in_real_time_is_started_for_each_of_them() -> None:
    class Live(Reaching):
        is_stepped = False

    arm = Live()
    config = replace(settings(max_steps=5), safety=SafetyConfig(ease_in_s=0.1, hold_after_ms=5000, stop_after_ms=9000))
    went = played(arm, 3, 21, config=config)
    assert [each.success for each in went.played][1:] == [False]
    assert [word for word in arm.told if word in ("start", "stop")] == ["start", "stop"] * 2
