"""What reflex_config.json says of the actions is what the graphs do with them, so that a server can go back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reflex.policy_config import ActionSpaceConfig
from reflex_export.blocks.aloha import aloha_action_from_model
from reflex_export.blocks.features import normalize_feature, unnormalize_feature
from reflex_export.checkpoint import Checkpoint, NormalizationMode, Normalizer, RelativeActions
from reflex_export.exporting.action_space import action_space
from reflex_export.graph.graph import Array, GraphBuilder
from support.checkpoints.altered import with_options
from support.checkpoints.golden import golden_case, golden_checkpoint, run_model

BOUNDS: list[tuple[NormalizationMode, str, str]] = [
    ("MEAN_STD", "mean", "std"),
    ("MIN_MAX", "min", "max"),
    ("QUANTILES", "q01", "q99"),
    ("QUANTILE10", "q10", "q90"),
]


def vector(*values: float) -> Array:
    return np.array(values, np.float32)


def robot_units(space: ActionSpaceConfig, normalized: Array) -> Array:
    return normalized * vector(*space.scale) + vector(*space.offset)


def normalized(space: ActionSpaceConfig, actions: Array) -> Array:
    """As docs/model-repository.md says it."""
    scale = vector(*space.scale)
    moves = scale != 0
    return np.where(moves, (actions - vector(*space.offset)) / np.where(moves, scale, 1), vector(*space.still))


@pytest.mark.parametrize("name", ["act", "diffusion", "smolvla", "pi0", "pi05"])
def test_the_recorded_actions_follow_from_the_recorded_normalised_ones(name: str) -> None:
    space, case = action_space(golden_checkpoint(name)), golden_case(name, "case_0")
    actions, inner = case["actions"].reshape(-1, len(space.scale)), case["actions_norm"].reshape(-1, len(space.scale))

    np.testing.assert_allclose(robot_units(space, inner), actions, rtol=1e-5, atol=1e-5)
    moves = vector(*space.scale) != 0
    assert moves.sum() >= 2
    np.testing.assert_allclose(normalized(space, actions)[:, moves], inner[:, moves], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("mode", "first", "second"), BOUNDS)
def test_every_mode_goes_back_to_what_training_saw_a_still_joint_too(
    mode: NormalizationMode, first: str, second: str
) -> None:
    where, spread = vector(3, -2, 0.5, 7, 0, 1), vector(2, 0.25, 40, 0, 1e-7, 1)
    upper: Array = spread if mode == "MEAN_STD" else where + spread
    normalizer = Normalizer(mode, {first: where, second: upper})
    space = action_space(replace(golden_checkpoint("smolvla"), action=normalizer))
    actions = np.stack([where, where + spread / 3])
    g = GraphBuilder("round_trip")
    inner = normalize_feature(g, g.input("x", "FP32", (6,)), normalizer)
    g.output(inner, "n", "FP32", (6,))
    g.output(unnormalize_feature(g, inner, normalizer), "y", "FP32", (6,))
    found = run_model(g.build(), {"x": actions})

    np.testing.assert_allclose(normalized(space, actions)[:, [0, 1, 2, 5]], found["n"][:, [0, 1, 2, 5]], atol=1e-5)
    np.testing.assert_allclose(normalized(space, actions)[0], found["n"][0], atol=1e-5)
    np.testing.assert_allclose(robot_units(space, found["n"]), found["y"], rtol=1e-5, atol=1e-5)


def aloha(mode: NormalizationMode = "IDENTITY") -> Checkpoint:
    width = 14
    random = np.random.RandomState(0)
    low = random.standard_normal(width).astype(np.float32)
    normalizer = Normalizer(mode, {"mean": low, "std": np.abs(low) + np.float32(0.1)})
    checkpoint = replace(golden_checkpoint("smolvla"), state_dim=width, action_dim=width, action=normalizer)
    return with_options(checkpoint, adapt_to_pi_aloha=True)


@pytest.mark.parametrize("mode", ["IDENTITY", "MEAN_STD"])
def test_alohas_grippers_and_joints_are_part_of_it(mode: NormalizationMode) -> None:
    checkpoint = aloha(mode)
    g = GraphBuilder("denoise")
    robot = aloha_action_from_model(g, g.input("x", "FP32", (5, 14)), 14)
    g.output(unnormalize_feature(g, robot, checkpoint.action), "actions", "FP32", (5, 14))
    chunk = np.random.RandomState(1).standard_normal((1, 5, 14)).astype(np.float32)
    actions = run_model(g.build(), {"x": chunk})["actions"]
    space = action_space(checkpoint)

    np.testing.assert_allclose(robot_units(space, chunk), actions, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(normalized(space, actions), chunk, rtol=1e-4, atol=1e-5)


def test_relative_axes_are_named() -> None:
    mask = (True, True, False, True, True, False)
    checkpoint = replace(golden_checkpoint("pi0"), relative_actions=RelativeActions(mask))

    assert action_space(checkpoint).relative == mask
    assert action_space(golden_checkpoint("pi0")).relative == (False,) * 6
