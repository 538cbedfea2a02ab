from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from reflex.numerics import max_abs
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError, MissingTensorError, TensorShapeError, UnsupportedOptionError
from reflex_export.families.act import build
from reflex_export.graph.graph import OnnxModel
from support.checkpoints.altered import options_of, with_doubled_tensor, with_options
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
from support.checkpoints.numpy_classic import act_actions
from support.checkpoints.random_classic import random_act

CASES = golden_cases("act")
TWO_SIZES = {"top": (48, 80), "side": (64, 40)}
VARIANTS: dict[str, dict[str, Any]] = {
    "two camera sizes": {"cameras": TWO_SIZES},
    "pre-norm, gelu, three decoder layers": {
        "cameras": {"top": (40, 64)},
        "pre_norm": True,
        "feedforward_activation": "gelu",
        "n_decoder_layers": 3,
    },
    "three decoder layers": {"cameras": {"top": (40, 64)}, "n_decoder_layers": 3, "n_encoder_layers": 1},
    "bottleneck blocks": {"cameras": {"top": (64, 64)}, "vision_backbone": "resnet50", "planes": (4, 4, 8, 8)},
    "34 layers in bfloat16": {
        "cameras": {"a": (32, 32), "b": (32, 32), "c": (32, 32)},
        "vision_backbone": "resnet34",
        "planes": (4, 8, 8, 8),
        "storage": ml_dtypes.bfloat16,
        "n_heads": 6,
        "chunk_size": 3,
    },
}


def observe(checkpoint: Checkpoint, seed: int = 0) -> tuple[dict[str, Array], Array]:
    """An image by camera key and a state."""
    random = np.random.RandomState(seed)
    images = {
        camera.key: random.randint(0, 256, (*camera.shape[1:], 3)).astype(np.uint8) for camera in checkpoint.cameras
    }
    return images, random.uniform(-1, 1, checkpoint.state_dim).astype(np.float32)


def feed(checkpoint: Checkpoint, images: dict[str, Array], state: Array) -> dict[str, Array]:
    return {f"image.{camera.name}": images[camera.key][None] for camera in checkpoint.cameras} | {"state": state[None]}


@pytest.mark.parametrize("case", CASES)
def test_every_recorded_value_is_reproduced(case: str) -> None:
    checkpoint, recorded = golden_checkpoint("act"), golden_case("act", case)

    found = run_graphs(build(checkpoint, taps=True), 1, observation_feeds(recorded, checkpoint))

    for camera in checkpoint.cameras:
        assert max_abs(found[f"pixels.{camera.name}"], recorded[f"pixel_values.{camera.key}"]) <= 1e-5
    assert max_abs(found["tap.encoder_in"], recorded["encoder_in"].transpose(1, 0, 2)) <= 1e-4
    assert max_abs(found["tap.encoder_out"], recorded["encoder_out"].transpose(1, 0, 2)) <= 1e-4
    assert max_abs(found["actions_normalized"], recorded["actions_norm"]) <= 1e-4
    assert max_abs(found["actions"], recorded["actions"]) <= 1e-4


@pytest.mark.parametrize("case", CASES)
def test_fp16_stays_within_the_gate(case: str) -> None:
    checkpoint, recorded = golden_checkpoint("act"), golden_case("act", case)

    found = run_graphs(build(checkpoint, precision="fp16"), 1, observation_feeds(recorded, checkpoint))

    assert_meets_fp16_gate(found["actions_normalized"], recorded["actions_norm"])


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_sizes_and_options_follow_the_formulas(variant: str) -> None:
    checkpoint = random_act(**VARIANTS[variant])
    images, state = observe(checkpoint)

    found = run_graphs(build(checkpoint), 1, feed(checkpoint, images, state))

    assert max_abs(found["actions_normalized"][0], act_actions(checkpoint, images, state)) <= 1e-4


def test_two_robots_in_a_batch_get_what_each_gets_alone() -> None:
    checkpoint = random_act(cameras=TWO_SIZES)
    graphs = build(checkpoint)
    alone = [feed(checkpoint, *observe(checkpoint, seed)) for seed in (1, 2)]

    together = run_graphs(graphs, 1, {name: np.concatenate([one[name] for one in alone]) for name in alone[0]})

    for robot, one in enumerate(alone):
        assert max_abs(together["actions"][robot], run_graphs(graphs, 1, one)["actions"][0]) <= 1e-5


@pytest.mark.parametrize("size", [(80, 48), (48, 79), (47, 80), (96, 40)])
def test_an_image_of_another_size_is_an_error_that_names_both(size: tuple[int, int]) -> None:
    checkpoint = random_act(cameras={"top": (48, 80)})

    with pytest.raises(Exception, match=r"(?s)image\.top.*Got: \d+ Expected: (48|80)"):
        run_model(build(checkpoint).preprocess, {"image.top": np.zeros((1, *size, 3), np.uint8)})


def test_the_graphs_hold_live_matrices_only_and_each_once() -> None:
    checkpoint = random_act(cameras=TWO_SIZES, n_decoder_layers=2)
    dead = ("vae_encoder", "latent_input_proj", "pos_embed", "decoder.layers.0.self_attn")
    shapes = {name: checkpoint.tensors.shape(name) for name in checkpoint.tensors.names()}
    first_query = options_of(checkpoint)["dim_model"] ** 2

    graphs = build(checkpoint)

    live = sum(
        int(np.prod(shape)) for name, shape in shapes.items() if len(shape) > 1 and not any(d in name for d in dead)
    )
    assert sum(matrix_elements(model) for model in (graphs.encoder, graphs.denoise[1])) == live - first_query


def matrix_elements(model: OnnxModel) -> int:
    """Of everything with two axes or more that is no constant (those are called c0, c1, ...)."""
    stored = onnx.load_from_string(model.content).graph.initializer
    return sum(int(np.prod(t.dims)) for t in stored if len(t.dims) > 1 and not re.fullmatch(r"c\d+", t.name))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vision_backbone", "vit_b_16"),
        ("replace_final_stride_with_dilation", True),
        ("feedforward_activation", "glu"),
        ("n_obs_steps", 2),
    ],
)
def test_an_unsupported_option_is_refused_by_name(option: str, value: object) -> None:
    checkpoint = random_act(cameras=TWO_SIZES)

    with pytest.raises(UnsupportedOptionError, match=f"{option} is {value!r}"):
        build(with_options(checkpoint, **{option: value}))


def test_temporal_ensembling_is_refused_by_name() -> None:
    checkpoint = random_act(cameras=TWO_SIZES)

    with pytest.raises(UnsupportedOptionError, match="temporal_ensemble_coeff"):
        build(with_options(checkpoint, temporal_ensemble_coeff=0.01))


def test_denoising_steps_are_refused() -> None:
    with pytest.raises(UnsupportedOptionError, match="no denoising steps"):
        build(random_act(cameras=TWO_SIZES), steps=[10])


@pytest.mark.parametrize(
    "name",
    [
        "model.action_head.weight",
        "model.encoder.layers.1.self_attn.in_proj_weight",
        "model.backbone.layer2.0.bn1.running_var",
        "model.backbone.layer3.1.conv2.weight",
        "model.backbone.layer2.0.downsample.0.weight",
        "model.encoder_img_feat_input_proj.weight",
    ],
)
def test_a_tensor_of_another_shape_is_named(name: str) -> None:
    checkpoint = random_act(cameras=TWO_SIZES)

    with pytest.raises(TensorShapeError, match=re.escape(name)):
        build(with_doubled_tensor(checkpoint, name))


def test_a_state_of_another_length_than_the_projection_takes_is_refused() -> None:
    checkpoint = random_act(cameras=TWO_SIZES)

    with pytest.raises(TensorShapeError, match=r"robot_state_input_proj\.weight"):
        build(replace(checkpoint, state_dim=6))


def test_a_missing_layer_is_an_error_and_not_a_shallower_policy() -> None:
    checkpoint = random_act(cameras=TWO_SIZES)

    for option in ("n_encoder_layers", "n_decoder_layers"):
        with pytest.raises(MissingTensorError):
            build(with_options(checkpoint, **{option: 5}))
    with pytest.raises(CheckpointError):
        build(with_options(checkpoint, vision_backbone="resnet34"))
