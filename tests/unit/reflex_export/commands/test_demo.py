from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.numerics import max_abs
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checkpoint import Checkpoint
from reflex_export.demo_data.demo_checkpoint import ACTION_STATISTICS, write_demo_checkpoint
from reflex_export.graph.graph import Array
from reflex_export.reading import read_checkpoint
from support.waiting import HANGS_S
from unit.reflex_export.families.numpy_smolvla import NumpySmolVla

Request = dict[str, Array]
MakeRequest = Callable[..., Request]

ROOT = Path(__file__).parents[4]
SHIPPED = ROOT / "model_repository"
SHIPPED_CHECKPOINT = ROOT / "export" / "demo_checkpoint"
TRAINED = "pick_up_the_cube"
"""Made by `make train-default`, in an hour."""
FRANKA_MAX_STEP_RAD = 2.175 / 20
"""The slowest joints' speed at 20 Hz control."""
ATOL_RAD = 1e-4 * ACTION_STATISTICS["std"][0]


def act(runner: PolicyRunner, request: Request) -> Array:
    actions: Array = runner.run(request)["actions"][0]
    return actions


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def checkpoint(demo_checkpoint: Path) -> Checkpoint:
    return read_checkpoint(demo_checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "instruction", "height", "width", "is_seen"),
    [
        (0, "pick up the red cup", 48, 64, True),
        (1, "", 224, 224, True),
        (2, "ouvre le tiroir à côté de l'évier " * 4, 37, 512, True),
        (3, "杯を取って", 1, 1, True),
        (4, "pick up the red cup", 48, 64, False),
    ],
)
def test_policy_agrees_with_an_independent_implementation(
    runner: PolicyRunner,
    make_request: MakeRequest,
    checkpoint: Checkpoint,
    seed: int,
    instruction: str,
    height: int,
    width: int,
    is_seen: bool,
) -> None:
    request = make_request(seed, instruction, height, width) | {"camera_mask": np.array([[is_seen]])}
    images = {"image": request["image.image"][0]} if is_seen else {}
    tokens = request["tokens"][request["token_mask"]]

    expected = NumpySmolVla(checkpoint).act(images, request["state"][0], tokens, request["noise"][0], 10)

    assert max_abs(act(runner, request), expected) <= ATOL_RAD


def test_image_changes_the_answer(runner: PolicyRunner, make_request: MakeRequest) -> None:
    request = make_request(0)
    darker = request | {"image.image": request["image.image"] // 2}

    assert max_abs(act(runner, request), act(runner, darker)) > 1e-3


def test_instruction_changes_the_answer(runner: PolicyRunner, make_request: MakeRequest) -> None:
    red, blue = make_request(0, "pick up the red cup"), make_request(0, "pick up the blue cup")

    assert max_abs(act(runner, red), act(runner, blue)) > 1e-3


@pytest.mark.slow
def test_state_changes_the_answer(runner: PolicyRunner, make_request: MakeRequest) -> None:
    request = make_request(0)
    raised = request | {"state": request["state"] + np.array([[0, 0, 0.1, 0, 0, 0]], np.float32)}

    assert max_abs(act(runner, request), act(runner, raised)) > 1e-3


def test_padding_tokens_do_not_change_the_answer(runner: PolicyRunner, make_request: MakeRequest) -> None:
    request = make_request(0)
    other_padding = request | {"tokens": np.where(request["token_mask"], request["tokens"], 77)}

    np.testing.assert_array_equal(act(runner, request), act(runner, other_padding))


def test_pixels_of_an_absent_camera_do_not_change_the_answer(runner: PolicyRunner, make_request: MakeRequest) -> None:
    request = make_request(0) | {"camera_mask": np.array([[False]])}
    black = request | {"image.image": np.zeros((1, 1, 1, 3), np.uint8)}

    np.testing.assert_array_equal(act(runner, request), act(runner, black))


def test_batch_answers_each_request_as_if_it_were_alone(runner: PolicyRunner, make_request: MakeRequest) -> None:
    requests = [make_request(seed, "open the drawer" * seed) for seed in range(3)]
    requests[1]["camera_mask"] = np.array([[False]])
    batch = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}

    alone = np.stack([act(runner, request) for request in requests])

    np.testing.assert_allclose(runner.run(batch)["actions"], alone, rtol=0, atol=1e-6)


def test_answers_stay_near_the_ready_pose_and_move_as_slowly_as_the_arm(
    runner: PolicyRunner, make_request: MakeRequest
) -> None:
    chunks = np.stack([act(runner, make_request(seed, "stack the cubes")) for seed in range(8)])
    jumps = np.abs(np.diff(chunks, axis=1))

    assert np.abs(chunks - np.array(ACTION_STATISTICS["mean"])).max() < 0.3
    assert (jumps > FRANKA_MAX_STEP_RAD).mean() < 0.001


def test_policy_is_small_and_has_the_shape_that_everything_else_counts_on(demo: PolicyConfig) -> None:
    assert (demo.policy_id, demo.family, demo.embodiment, demo.precision) == ("demo", "smolvla", "franka", "fp32")
    assert [(camera.name, camera.required) for camera in demo.cameras] == [("image", True)]
    assert (demo.state_dim, demo.horizon, demo.action_dim, demo.denoising_steps) == (6, 50, 7, 10)
    untrained = {name: content for name, content in contents(SHIPPED).items() if not name.startswith(TRAINED)}
    assert sum(map(len, untrained.values())) <= 5_000_000
    assert sum(map(len, contents(SHIPPED_CHECKPOINT).values())) <= 2_000_000


def test_policy_and_checkpoint_say_that_they_are_untrained(demo: PolicyConfig) -> None:
    assert demo.trained is False
    assert "UNTRAINED" in demo.description
    assert "**Untrained.**" in (SHIPPED_CHECKPOINT / "README.md").read_text(encoding="utf-8")


def test_same_seed_gives_the_same_checkpoint_and_another_seed_other_weights(
    demo_checkpoint: Path, tmp_path: Path
) -> None:
    write_demo_checkpoint(tmp_path / "again", 0)
    write_demo_checkpoint(tmp_path / "other", 1)
    made, other = contents(demo_checkpoint), contents(tmp_path / "other")

    assert contents(tmp_path / "again") == made
    assert {name for name in made if made[name] != other[name]} == {"model.safetensors"}


def test_shipped_checkpoint_is_what_this_code_makes(demo_checkpoint: Path) -> None:
    assert contents(SHIPPED_CHECKPOINT) == contents(demo_checkpoint), "run `make demo-policy` and commit the result"


def test_shipped_policies_are_what_this_code_makes(
    demo: PolicyConfig, demo_repository: Path, sim_demo_repository: Path
) -> None:
    measured = {f"{name}/{file}" for name in ("demo", "sim_demo") for file in ("canary.npz", "reflex_config.json")}
    """Another processor rounds the canary's answer otherwise."""
    made = contents(demo_repository) | contents(sim_demo_repository)
    shipped = {name: content for name, content in contents(SHIPPED).items() if not name.startswith(TRAINED)}
    config = read_policy_config(SHIPPED / "demo")

    assert shipped.keys() - made.keys() == {"README.md"}, "run `make demo-policy` and commit the result"
    assert {name for name in made.keys() - measured if made[name] != shipped.get(name)} == set()
    versionless: dict[str, object] = {"versions": {}, "canary": None}
    assert config.model_copy(update=versionless) == demo.model_copy(update=versionless)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "sim_demo"])
def test_shipped_policy_answers_its_canary(name: str) -> None:
    config = read_policy_config(SHIPPED / name)
    assert config.canary is not None
    with np.load(SHIPPED / name / config.canary.file, allow_pickle=False) as canary:
        stored = {name: canary[name][None] for name in canary.files}

    answer = PolicyRunner.of(SHIPPED, config).run(stored)["actions"]

    assert max_abs(answer, stored["expected.actions"]) <= config.canary.tolerance / 10


@pytest.mark.slow
def test_module_run_as_a_program_makes_the_checkpoint_and_the_policy(
    demo_checkpoint: Path, demo_repository: Path, sim_demo_repository: Path, tmp_path: Path
) -> None:
    folder, repository = tmp_path / "demo_checkpoint", tmp_path / "models"
    command = [sys.executable, "-m", "reflex_export.commands.demo", str(folder), "--repository", str(repository)]

    subprocess.run(command, check=True, timeout=HANGS_S)

    assert contents(folder) == contents(demo_checkpoint)
    assert contents(repository) == contents(demo_repository) | contents(sim_demo_repository)


@pytest.mark.slow
def test_export_command_passes_on_what_it_is_told_about_the_policy(demo_checkpoint: Path, tmp_path: Path) -> None:
    options = ["--embodiment", "franka", "--repository", str(tmp_path)]
    told = ["--name", "told", "--untrained", "--description", "Weights of a seed."]

    results = [CliRunner().invoke(app, ["export", str(demo_checkpoint), *options, *extra]) for extra in ([], told)]

    assert [result.exit_code for result in results] == [0, 0]
    configs = [read_policy_config(tmp_path / name) for name in ("demo_checkpoint", "told")]
    assert [(config.trained, config.description) for config in configs] == [(True, ""), (False, "Weights of a seed.")]
