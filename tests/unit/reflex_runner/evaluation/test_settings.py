"""The seeds that were asked for, and a robot with the cameras that the policy names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reflex.errors import SetupError
from reflex_runner.config.sections import HardwareConfig, RobotConfig, SessionConfig, TargetConfig
from reflex_runner.evaluation.settings import EvaluationSettings, plans_of, robot_for, seeds_of
from support.runner.served import served

URL = "http://gpu-box:8000"


def test_seeds_are_a_range_its_beginning_or_a_number_of_the_usual_ones() -> None:
    assert seeds_of(10_000, 10_200, None, 200) == range(10_000, 10_200)
    assert seeds_of(10_000, 10_200, 20, 200) == range(10_000, 10_020)
    assert seeds_of(10_000, None, None, 200) == range(10_000, 10_200)
    assert seeds_of(7, None, 3, 200) == range(7, 10)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ((5, 8, 4, 200), "5:8 are 3 seeds, fewer than 4"),
        ((8, 5, None, 200), "give 1 to 100,000 seeds"),
        ((-1, None, 3, 200), "from 0"),
        ((0, None, 100_001, 200), "1 to 100,000"),
        ((2 * 10**9, None, 1, 200), "to 999,999,999"),
    ],
)
def test_what_are_no_seeds_is_said(given: tuple[int, int | None, int | None, int], complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        seeds_of(*given)


def test_without_a_file_the_robot_is_the_simulated_arm_with_the_policys_cameras() -> None:
    cameras = [{"name": "image", "required": True}, {"name": "left_Wrist", "required": True}]
    found = robot_for(EvaluationSettings(seeds=(1,), picture_px=64), URL, served("so101_sim", cameras=cameras))
    assert found.hardware.kind == "sim"
    assert found.hardware.settings["cameras"] == {"image": "front", "left_Wrist": "wrist"}
    assert (found.hardware.settings["width"], found.hardware.settings["realtime"]) == (64, False)
    assert (found.session.mode, found.session.max_steps, found.recording.is_on) == ("apply_actions", 300, False)
    assert (found.target.kind, found.target.url) == ("act", URL)
    assert "cameras" not in robot_for(EvaluationSettings(seeds=(1,)), URL, None).hardware.settings


def test_pictures_are_as_the_policy_wants_them_unless_somebody_says() -> None:
    def size(picture_px: int | None, *shape: int) -> tuple[int, int]:
        told = served("so101_sim", inputs=[{"name": "image.front", "shape": shape}])
        settings = robot_for(EvaluationSettings(seeds=(1,), picture_px=picture_px), URL, told).hardware.settings
        return settings["height"], settings["width"]

    assert (size(None, 48, 64, 3), size(None, -1, -1, 3), size(32, 48, 64, 3)) == ((48, 64), (96, 96), (32, 32))


def test_a_file_counts_where_nothing_else_is_said() -> None:
    own = RobotConfig(
        HardwareConfig("mine:Arm"), SessionConfig(mode="apply_actions", max_steps=50, instruction="pick"),
        TargetConfig(kind="openpi", url="ws://old:1"),
    )  # fmt: skip
    asked = EvaluationSettings(seeds=(1,), config=own)
    found = robot_for(asked, None, None)
    assert (found.hardware.kind, found.session.max_steps, found.session.instruction) == ("mine:Arm", 50, "pick")
    assert (found.target.kind, found.target.url) == ("openpi", "ws://old:1")
    other = robot_for(replace(asked, kind="stream", max_steps=9, instruction="place"), URL, None)
    assert (other.target.kind, other.target.url) == ("stream", URL)
    assert (other.session.max_steps, other.session.instruction) == (9, "place")


def test_each_episode_draws_noise_of_its_own() -> None:
    asked = EvaluationSettings(seeds=range(3, 5), instruction="pick")
    assert [(plan.seed, plan.instruction, plan.noise_seed) for plan in plans_of(asked, is_seeded=True)] == [
        (3, "pick", 3000), (4, "pick", 4000),
    ]  # fmt: skip
    assert [plan.noise_seed for plan in plans_of(asked, is_seeded=False)] == [None, None]
