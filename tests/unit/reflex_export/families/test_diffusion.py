from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from PIL import Image

from reflex.numerics import max_abs
from reflex_export.blocks.reverse_diffusion import reverse_steps
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError, MissingTensorError, TensorShapeError, UnsupportedOptionError
from reflex_export.families.common import Precision
from reflex_export.families.diffusion import build
from reflex_export.graph.graph import OnnxModel
from support.checkpoints.altered import options_of, with_doubled_tensor, with_options, without_tensor
from support.checkpoints.gate import assert_meets_fp16_gate
from support.checkpoints.golden import (
    Array,
    golden_case,
    golden_cases,
    golden_checkpoint,
    observation_feeds,
    run_graphs,
    run_model,
)
from support.checkpoints.numpy_classic import diffuse, diffusion_condition, normalize
from support.checkpoints.random_classic import random_diffusion

CASES = golden_cases("diffusion")
STEPS = 20
ONE = {"top": (48, 64)}
TWO = {"top": (48, 64), "wrist": (48, 64)}
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {
    "DDIM with a crop": (5, {"noise_scheduler_type": "DDIM", "crop_shape": [41, 52], "cameras": TWO}),
    "DDIM that predicts the sample": (4, {"noise_scheduler_type": "DDIM", "prediction_type": "sample", "cameras": ONE}),
    "DDPM with every third step": (6, {"cameras": ONE, "down_dims": [8, 16, 24], "n_groups": 8}),
    "DDPM that predicts the sample, unclipped": (
        5,
        {"prediction_type": "sample", "clip_sample": False, "cameras": ONE, "beta_schedule": "linear"},
    ),
    "one step": (1, {"cameras": ONE, "beta_schedule": "scaled_linear", "clip_sample_range": 0.7}),
    "one observation, offsets only, a shared encoder": (
        3,
        {
            "n_obs_steps": 1,
            "n_action_steps": 8,
            "use_film_scale_modulation": False,
            "use_separate_rgb_encoder_per_camera": False,
            "cameras": TWO,
        },
    ),
    "batch norm, bottleneck blocks, three observations": (
        2,
        {
            "n_obs_steps": 3,
            "use_group_norm": False,
            "vision_backbone": "resnet50",
            "planes": (4, 4, 4, 8),
            "cameras": ONE,
            "kernel_size": 5,
        },
    ),
    "bfloat16, one level": (
        3,
        {"storage": ml_dtypes.bfloat16, "down_dims": [16], "horizon": 5, "n_action_steps": 3, "cameras": ONE},
    ),
}


def observe(checkpoint: Checkpoint, steps: int, seed: int = 0) -> dict[str, Array]:
    """Every input of the policy, with the batch axis."""
    random, config = np.random.RandomState(seed), options_of(checkpoint)
    frames = (config["n_obs_steps"],) if config["n_obs_steps"] > 1 else ()
    draw = random.standard_normal
    feeds: dict[str, Array] = {
        f"image.{camera.name}": random.randint(0, 256, (1, *frames, *camera.shape[1:], 3)).astype(np.uint8)
        for camera in checkpoint.cameras
    }
    feeds["state"] = draw((1, *frames, checkpoint.state_dim)).astype(np.float32)
    feeds["noise"] = draw((1, config["horizon"], checkpoint.action_dim)).astype(np.float32)
    feeds["step_noise"] = draw((1, steps - 1, config["horizon"], checkpoint.action_dim)).astype(np.float32)
    return feeds


def run_recorded(case: str, precision: Precision) -> tuple[Checkpoint, dict[str, Array], dict[str, Array]]:
    """The checkpoint, what was recorded, and what the graphs give."""
    checkpoint, recorded = golden_checkpoint("diffusion"), golden_case("diffusion", case)
    feeds = observation_feeds(recorded, checkpoint) | {"step_noise": recorded["step_noise"][None]}
    return (
        checkpoint,
        recorded,
        run_graphs(build(checkpoint, steps=[STEPS], precision=precision, taps=True), STEPS, feeds),
    )


def test_the_checkpoint_says_how_many_steps_it_wants() -> None:
    checkpoint = random_diffusion(cameras=ONE)

    assert checkpoint.config.default_steps == 20
    assert with_options(checkpoint, num_inference_steps=8).config.default_steps == 8


@pytest.mark.parametrize("case", CASES)
def test_every_recorded_value_is_reproduced(case: str) -> None:
    checkpoint, recorded, found = run_recorded(case, "fp32")

    for camera in checkpoint.cameras:
        cropped = recorded[f"pixel_values.{camera.key}"][..., 4:44, 4:60]
        assert max_abs(found[f"pixels.{camera.name}"], cropped) <= 1e-5
    assert max_abs(found["global_cond"], recorded["global_cond"]) <= 1e-4
    assert max_abs(found["tap.v_t"][0], recorded["model_output"]) <= 1e-4
    assert max_abs(found["tap.x_t"][0], recorded["x_t"]) <= 1e-4
    assert max_abs(found["tap.x_after_step"][0, :-1], recorded["x_t"][1:]) <= 1e-4
    assert max_abs(found["actions_normalized"], recorded["actions_norm"]) <= 1e-4
    assert max_abs(found["actions"], recorded["actions"]) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_fp16_stays_within_the_gate(case: str) -> None:
    _, recorded, found = run_recorded(case, "fp16")

    assert_meets_fp16_gate(found["actions_normalized"], recorded["actions_norm"])


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_sizes_and_options_follow_the_formulas(variant: str) -> None:
    steps, options = VARIANTS[variant]
    checkpoint = random_diffusion(**options)
    config, feeds = options_of(checkpoint), observe(checkpoint, steps)

    found = run_graphs(build(checkpoint, steps=[steps], taps=True), steps, feeds)

    frames = config["n_obs_steps"]
    pixels = {
        camera.key: found[f"pixels.{camera.name}"].reshape(frames, 3, *found[f"pixels.{camera.name}"].shape[-2:])
        for camera in checkpoint.cameras
    }
    condition = diffusion_condition(checkpoint, pixels, feeds["state"].reshape(frames, -1))
    assert max_abs(found["global_cond"][0], condition) <= 1e-4
    trajectory = diffuse(checkpoint, steps, feeds["noise"][0], condition, feeds["step_noise"][0])
    assert max_abs(found["tap.x_after_step"][0, -1], trajectory) <= 1e-4
    kept = trajectory[frames - 1 : frames - 1 + config["n_action_steps"]]
    assert max_abs(found["actions_normalized"][0], kept) <= 1e-4


@pytest.mark.parametrize(
    ("image", "options", "box"),
    [
        ((48, 64), {"crop_shape": [41, 52]}, (6, 4, 58, 45)),
        ((96, 150), {"resize_shape": [64, 60], "crop_ratio": 0.55}, (14, 14, 47, 49)),
        ((37, 200), {"resize_shape": [40, 48], "crop_shape": [8, 8]}, (0, 0, 48, 40)),
        ((40, 30), {"resize_shape": [64, 96]}, (0, 0, 96, 64)),
        ((240, 320), {"resize_shape": [96, 96]}, (0, 0, 96, 96)),
    ],
)
def test_images_are_resized_with_antialiasing_then_cropped_around_the_centre(
    image: tuple[int, int], options: dict[str, Any], box: tuple[int, int, int, int]
) -> None:
    checkpoint = random_diffusion(cameras={"top": (48, 64)}, **options)
    camera, size = checkpoint.cameras[0], options.get("resize_shape", image)
    frames = np.random.RandomState(0).randint(0, 256, (2, *image, 3)).astype(np.uint8)

    found = run_model(build(checkpoint, steps=[1]).preprocess, {"image.top": frames[None]})["pixels.top"]

    for frame, pixels in zip(frames, found[0], strict=True):
        planes = [Image.fromarray(plane.astype(np.float32)) for plane in frame.transpose(2, 0, 1)]
        resized = [plane.resize((size[1], size[0]), Image.Resampling.BILINEAR).crop(box) for plane in planes]
        wanted = normalize(np.array([np.asarray(plane) for plane in resized]) / 255, checkpoint.images[camera.key])
        assert max_abs(pixels, wanted) <= 1e-5


def test_without_a_resize_an_image_of_another_size_is_an_error_that_names_both() -> None:
    model = build(random_diffusion(cameras={"top": (48, 64)}), steps=[1]).preprocess

    for size in ((64, 48), (47, 64), (48, 63)):
        with pytest.raises(Exception, match=r"(?s)image\.top.*Got: \d+ Expected: (48|64)"):
            run_model(model, {"image.top": np.zeros((1, 2, *size, 3), np.uint8)})


def test_two_robots_in_a_batch_get_what_each_gets_alone() -> None:
    checkpoint = random_diffusion(cameras=TWO)
    graphs = build(checkpoint, steps=[3])
    alone = [observe(checkpoint, 3, seed) for seed in (1, 2)]

    together = run_graphs(graphs, 3, {name: np.concatenate([one[name] for one in alone]) for name in alone[0]})

    for robot, one in enumerate(alone):
        assert max_abs(together["actions"][robot], run_graphs(graphs, 3, one)["actions"][0]) <= 1e-5


@pytest.mark.slow
def test_one_encoder_serves_several_step_counts() -> None:
    checkpoint = random_diffusion(cameras=ONE, noise_scheduler_type="DDIM")
    graphs = build(checkpoint, steps=[2, 5])
    feeds = observe(checkpoint, 5)

    answers = {steps: run_graphs(graphs, steps, feeds)["actions"] for steps in graphs.denoise}

    assert set(answers) == {2, 5}
    assert max_abs(answers[2], answers[5]) > 1e-3


def test_unrolling_stores_each_weight_once() -> None:
    checkpoint = random_diffusion(cameras=ONE)
    graphs = build(checkpoint, steps=[2, 12])

    assert _weights(graphs.denoise[2]) == _weights(graphs.denoise[12])
    assert len(graphs.denoise[12].content) < 6 * len(graphs.denoise[2].content)


def _weights(model: OnnxModel) -> dict[str, tuple[int, ...]]:
    """Everything that is no constant (those are called c0, c1, ...)."""
    stored = onnx.load_from_string(model.content).graph.initializer
    return {tensor.name: tuple(tensor.dims) for tensor in stored if not re.fullmatch(r"c\d+", tensor.name)}


def test_ddpm_takes_one_noise_fewer_than_steps_and_ddim_none() -> None:
    def inputs(scheduler: str, steps: int) -> dict[str, tuple[int, ...]]:
        checkpoint = random_diffusion(cameras=ONE, noise_scheduler_type=scheduler)
        return {tensor.name: tensor.shape for tensor in build(checkpoint, steps=[steps]).denoise[steps].inputs}

    assert inputs("DDPM", 4)["step_noise"] == (3, 8, 2)
    assert "step_noise" not in inputs("DDPM", 1)
    assert "step_noise" not in inputs("DDIM", 4)


@pytest.mark.parametrize("schedule", ["squaredcos_cap_v2", "linear", "scaled_linear"])
@pytest.mark.parametrize("scheduler", ["DDPM", "DDIM"])
def test_an_exact_prediction_ends_at_the_clean_trajectory(scheduler: str, schedule: str) -> None:
    steps = reverse_steps(scheduler, 10, train_steps=100, beta_schedule=schedule, beta_start=1e-4, beta_end=0.02)
    clean, noise = 0.4, -1.3
    x = float(steps[0].signal) * clean + float(steps[0].noise) * noise

    for step in steps:
        held = (x - float(step.signal) * clean) / float(step.noise)
        x = float(step.from_origin) * clean + float(step.from_current) * x + float(step.from_eps) * held

    assert [step.timestep for step in steps] == list(range(90, -1, -10))
    assert x == pytest.approx(clean, abs=1e-5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("noise_scheduler_type", "DPM"),
        ("prediction_type", "v_prediction"),
        ("beta_schedule", "sigmoid"),
        ("vision_backbone", "efficientnet_b0"),
    ],
)
def test_an_unsupported_option_is_refused_by_name(option: str, value: object) -> None:
    checkpoint = random_diffusion(cameras=ONE)

    with pytest.raises(UnsupportedOptionError, match=f"{option} is {value!r}"):
        build(with_options(checkpoint, **{option: value}), steps=[1])


def test_a_state_far_from_a_joint_that_never_moved_stays_finite_in_fp16() -> None:
    checkpoint = random_diffusion(cameras=ONE)
    still = {**checkpoint.state.statistics, "min": np.zeros(3, np.float32), "max": np.zeros(3, np.float32)}
    checkpoint = replace(checkpoint, state=replace(checkpoint.state, statistics=still))

    found = run_graphs(build(checkpoint, steps=[2], precision="fp16"), 2, observe(checkpoint, 2))

    assert np.isfinite(found["actions"]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 7}, "divisible by 2"),
        ({"n_action_steps": 8}, "n_action_steps is 8, more than the 7"),
        ({"crop_shape": [50, 52]}, "crop_shape"),
    ],
)
def test_sizes_that_cannot_be_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    checkpoint = random_diffusion(cameras=ONE)

    with pytest.raises(CheckpointError, match=message):
        build(with_options(checkpoint, **changes), steps=[1])


@pytest.mark.parametrize("steps", [0, 21])
def test_more_steps_than_in_training_are_refused(steps: int) -> None:
    with pytest.raises(UnsupportedOptionError, match="1 to 20"):
        build(random_diffusion(cameras=ONE), steps=[steps])


@pytest.mark.parametrize(
    "name",
    [
        "diffusion.rgb_encoder.0.pool.pos_grid",
        "diffusion.rgb_encoder.0.backbone.5.0.bn1.weight",
        "diffusion.unet.down_modules.1.0.cond_encoder.1.weight",
        "diffusion.unet.up_modules.0.0.conv1.block.0.weight",
        "diffusion.unet.diffusion_step_encoder.3.bias",
    ],
)
def test_a_tensor_of_another_shape_or_missing_is_named(name: str) -> None:
    checkpoint = random_diffusion(cameras=ONE)

    with pytest.raises(TensorShapeError, match=re.escape(name)):
        build(with_doubled_tensor(checkpoint, name), steps=[1])
    with pytest.raises(MissingTensorError, match=re.escape(name)):
        build(without_tensor(checkpoint, name), steps=[1])
