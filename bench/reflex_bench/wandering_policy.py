"""A policy for trials of motion: smooth chunks, which go one of two ways at random, and never the same way twice.

Demo and recorded checkpoints have random weights, so that their chunks are noise from step to step and no seam stands
out of it. This one is flow matching without a network: its actions are drawn from a mixture of two Gaussian processes
that begin where the arm is, and the velocity of that mixture is known in closed form. With t from 1 to 0, s = 1 - t,

    x = t noise + s actions,    actions = mean +- way + smooth,    smooth ~ N(0, K)
    side = tanh(s (x - s mean)' C^-1 way),                         C = s^2 K + t^2 I
    E[actions | x] = mean + side way + s K C^-1 (x - s mean - s side way)
    v = E[noise - actions | x] = (x - s E) / t - E

It is sampled by the same Euler loop, with the same real-time chunking, as exported policies. Serve it like any other:

    python -m reflex_bench.wandering_policy FOLDER --steps 10 --steps 5
    reflex serve --model-repository FOLDER --policy wandering
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from reflex.embodiments import load_embodiment
from reflex.policy_config import CameraConfig, CanaryConfig, PolicyConfig, PromptConfig
from reflex_bench.nonce_policy import preprocess_graph
from reflex_export.blocks.euler import euler_loop, guidance_inputs, velocity_output
from reflex_export.demo_data.tokenizer import PAD_ID, build_tokenizer
from reflex_export.graph.graph import GraphBuilder, OnnxModel
from reflex_export.publishing.staged import StagedModel, identity_of, staging, write_contract
from reflex_export.publishing.triton_config import ensemble_inputs

__all__ = ["denoise_graph", "write_wandering_policy"]

ROBOT: Final = "so101"
AXES: Final = 6
HORIZON: Final = 50
STEPS: Final = 10
MAX_TOKENS: Final = 48
SMOOTH_STEPS: Final = 15.0
"""Over so many steps a chunk forgets where it was."""
SPREAD: Final = 0.08
"""Of a chunk round its way, where half of an axis' range is 1."""
TURN_STEPS: Final = 12.0
WAY: Final = 0.2
"""How far the two ways are from the middle in the end."""
Matrix = npt.NDArray[np.float64]


def write_wandering_policy(repository: Path, name: str = "wandering", steps: Sequence[int] = (STEPS,)) -> None:
    """Write the policy into `repository`, as an export with these step counts: `name`, then `name-<steps>steps`."""
    tokenizer = build_tokenizer()
    with staging(repository) as staged:
        shared = (
            staged.write_model(f"{name}_preprocess", "preprocess", preprocess_graph(("image",)), 4),
            staged.write_model(f"{name}_encoder", "encoder", _encoder(), 2),
        )
        names = {count: name if count == steps[0] else f"{name}-{count}steps" for count in steps}
        denoising = {
            count: staged.write_model(f"{policy}_denoise", "denoise", denoise_graph(count), 8)
            for count, policy in names.items()
        }
        export_id = identity_of((*shared, *denoising.values()), {"name": name, "tokenizer": tokenizer}).export_id
        for model in (*shared, *denoising.values()):
            staged.write_component_config(model, export_id)
        for count, policy in names.items():
            models = (*shared, denoising[count])
            config = _config(policy, models, count, export_id)
            write_contract(staged.write_ensemble(policy, models, export_id), config, _canary(), tokenizer)
        staged.publish()


def denoise_graph(steps: int = STEPS) -> OnnxModel:
    """pose [6] (a share of each axis' range from -1 to 1), noise, and what is to be continued -> actions [50, 6]."""
    g = GraphBuilder("denoise")
    pose = g.input("pose", "FP32", (AXES,))
    noise = g.input("noise", "FP32", (HORIZON, AXES))
    guidance = guidance_inputs(g, HORIZON, AXES)
    mean = g.op("Mul", g.op("Unsqueeze", pose, g.ints(1)), g.constant(_mean_gain()[:, None]))
    trace = euler_loop(g, noise, steps, lambda x, step: _velocity(g, x, mean, 1.0 - step / steps), guidance)
    middle, half = _robot()
    chunk = g.op("Add", g.op("Mul", trace.final, g.constant(half)), g.constant(middle))
    g.output(chunk, "actions", "FP32", (HORIZON, AXES))
    g.output(g.op("Identity", trace.final), "actions_normalized", "FP32", (HORIZON, AXES))
    velocity_output(g, trace, AXES)
    return g.build()


def _velocity(g: GraphBuilder, x: ir.Value, mean: ir.Value, t: float) -> ir.Value:
    s, way = 1.0 - t, _way()
    inverse = np.linalg.inv(s * s * _covariance() + t * t * np.eye(HORIZON))
    offset = g.op("Sub", x, g.op("Mul", mean, g.constant(s)))
    told = g.op("Mul", offset, g.constant(s * inverse @ way))
    side = g.op("Tanh", g.op("ReduceSum", told, g.ints(1, 2), keepdims=1))
    sideways = g.op("Mul", side, g.constant(way))
    rest = g.op("Sub", offset, g.op("Mul", sideways, g.constant(s)))
    smooth = g.op("MatMul", g.constant(s * _covariance() @ inverse), rest)
    actions = g.op("Add", g.op("Add", mean, sideways), smooth)
    noise = g.op("Div", g.op("Sub", x, g.op("Mul", actions, g.constant(s))), g.constant(t))
    return g.op("Sub", noise, actions)


def _mean_gain() -> Matrix:
    """What is left of the beginning at each step: 1 at the first."""
    gain: Matrix = np.exp(-0.5 * (np.arange(HORIZON) / SMOOTH_STEPS) ** 2)
    return gain


def _covariance() -> Matrix:
    """Of the steps of one axis, given where it begins."""
    steps = np.arange(HORIZON)
    alike = np.exp(-0.5 * ((steps[:, None] - steps[None, :]) / SMOOTH_STEPS) ** 2)
    covariance: Matrix = SPREAD**2 * (alike - np.outer(_mean_gain(), _mean_gain()) + 1e-6 * np.eye(HORIZON))
    return covariance


def _way() -> Matrix:
    """[50, 6]: one of the two; the other is its opposite. Both begin at rest."""
    course = WAY * (1.0 - np.exp(-0.5 * (np.arange(HORIZON) / TURN_STEPS) ** 2))
    return np.outer(course, (-1.0) ** np.arange(AXES))


def _robot() -> tuple[Matrix, Matrix]:
    """Middle and half length of each axis' range."""
    robot = load_embodiment(ROBOT)
    low, high = np.array(robot.action_low), np.array(robot.action_high)
    return (low + high) / 2.0, (high - low) / 2.0


def _encoder() -> OnnxModel:
    """state (and the picture and the text, unread) -> pose."""
    g = GraphBuilder("encoder")
    g.input("red", "FP32", (1,))
    g.input("camera_mask", "BOOL", (1,))
    state = g.input("state", "FP32", (AXES,))
    g.input("tokens", "INT64", (MAX_TOKENS,))
    g.input("token_mask", "BOOL", (MAX_TOKENS,))
    middle, half = _robot()
    pose = g.op("Div", g.op("Sub", state, g.constant(middle)), g.constant(half))
    g.output(pose, "pose", "FP32", (AXES,))
    return g.build()


def _config(name: str, models: tuple[StagedModel, ...], steps: int, export_id: str) -> PolicyConfig:
    components = [model.component for model in models]
    return PolicyConfig(
        schema_version=1,
        policy_id=name,
        policy_hash=identity_of(models, {}).policy_hash,
        export_id=export_id,
        family="wandering",
        trained=False,
        description="Wanders smoothly and at random: for trials of motion with simulated arms only.",
        embodiment=ROBOT,
        cameras=(CameraConfig(name="image", required=True),),
        state_dim=AXES,
        action_dim=AXES,
        noise_dim=AXES,
        horizon=HORIZON,
        denoising_steps=steps,
        prompt=PromptConfig(style="newline", max_tokens=MAX_TOKENS, pad_id=PAD_ID),
        precision="fp32",
        engine="onnx",
        inference_mode="onnx_cpu",
        components={model.component.role: model.name for model in models},
        inputs=ensemble_inputs(components),
        outputs=components[-1].outputs,
        canary=CanaryConfig(tolerance=1e-2),
    )


def _canary() -> Mapping[str, npt.NDArray[Any]]:
    """From the middle and without noise it cannot decide for a way, and stays where it is."""
    middle, _ = _robot()
    return {
        "image.image": np.full((32, 32, 3), 255, np.uint8),
        "camera_mask": np.ones(1, np.bool_),
        "state": middle.astype(np.float32),
        "tokens": np.full(MAX_TOKENS, PAD_ID, np.int64),
        "token_mask": np.zeros(MAX_TOKENS, np.bool_),
        "noise": np.zeros((HORIZON, AXES), np.float32),
        "prev_chunk": np.zeros((HORIZON, AXES), np.float32),
        "rtc_weights": np.zeros(HORIZON, np.float32),
        "rtc_max_guidance": np.zeros(1, np.float32),
        "expected.actions": np.tile(middle.astype(np.float32), (HORIZON, 1)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the wandering policy into a model repository.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--steps", type=int, action="append", help="of denoising; several times for several variants")
    given = parser.parse_args()
    write_wandering_policy(given.repository, steps=given.steps or (STEPS,))
