from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reflex.embodiments import load_embodiment
from reflex.guard import ActionGuard
from reflex.numerics import max_abs
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.checking.parity import PolicyRunner
from reflex_export.demo_data.demo_robots import FRANKA, SIMULATED_ARM
from reflex_export.graph.graph import Array

Request = dict[str, Array]
SHIPPED = Path(__file__).parents[4] / "model_repository"
DTYPES = {"FP32": np.float32, "UINT8": np.uint8, "BOOL": np.bool_, "INT64": np.int64}


@pytest.fixture(scope="module")
def config() -> PolicyConfig:
    return read_policy_config(SHIPPED / "sim_demo")


@pytest.fixture(scope="module")
def runner(config: PolicyConfig) -> PolicyRunner:
    return PolicyRunner.of(SHIPPED, config)


def request_of(config: PolicyConfig, seed: int) -> Request:
    random, arm = np.random.RandomState(seed), load_embodiment("so101_sim")
    blank = {
        tensor.name: np.zeros((1, *(max(size, 1) for size in tensor.shape)), DTYPES[tensor.datatype])
        for tensor in config.inputs
    }
    state = random.uniform(arm.action_low, arm.action_high)
    return blank | {
        "image.front": random.randint(0, 256, (1, 96, 96, 3)).astype(np.uint8),
        "image.wrist": random.randint(0, 256, (1, 64, 48, 3)).astype(np.uint8),
        "camera_mask": np.array([[True, True]]),
        "state": state[None].astype(np.float32),
        "tokens": random.randint(1, 500, (1, 48)).astype(np.int64),
        "token_mask": np.arange(48)[None] < 9,
        "noise": random.standard_normal((1, config.horizon, config.noise_dim)).astype(np.float32),
    }


def act(runner: PolicyRunner, request: Request) -> Array:
    actions: Array = runner.run(request)["actions"][0]
    return actions


def test_every_demo_robot_has_the_axes_of_its_embodiment() -> None:
    for robot in (FRANKA, SIMULATED_ARM):
        embodiment = load_embodiment(robot.embodiment)
        assert {len(values) for values in robot.state.values()} == {embodiment.state_dim}
        assert {len(values) for values in robot.action.values()} == {embodiment.action_dim}


def test_the_simulators_demo_says_that_it_is_untrained_and_whose_arm_it_is_for(config: PolicyConfig) -> None:
    assert (config.policy_id, config.embodiment, config.trained) == ("sim_demo", "so101_sim", False)
    assert "UNTRAINED" in config.description
    assert [(camera.name, camera.required) for camera in config.cameras] == [("front", True), ("wrist", True)]
    assert (config.state_dim, config.action_dim, config.horizon) == (6, 6, 50)


def test_it_is_small() -> None:
    files = [path for folder in SHIPPED.glob("sim_demo*") for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 750_000


@pytest.mark.parametrize("seed", range(4))
def test_the_guard_of_the_arm_changes_nothing_of_what_it_answers(
    config: PolicyConfig, runner: PolicyRunner, seed: int
) -> None:
    chunk = act(runner, request_of(config, seed))
    assert not ActionGuard(load_embodiment("so101_sim")).check(chunk).clamped
    assert np.abs(chunk - SIMULATED_ARM.action["mean"]).max() < 12


@pytest.mark.parametrize("seen", ["image.front", "image.wrist", "state", "tokens"])
def test_it_looks_at_everything_that_it_is_given(config: PolicyConfig, runner: PolicyRunner, seen: str) -> None:
    request, other = request_of(config, 0), request_of(config, 1)
    assert max_abs(act(runner, request), act(runner, request | {seen: other[seen]})) > 1e-3
