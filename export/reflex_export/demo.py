"""The policy that ships with Reflex: a compact flow-matching VLA of the real shape, seeded weights, no training.

python -m reflex_export.demo --output model_repository
"""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from reflex import __version__
from reflex.policy_config import CameraConfig, CanaryConfig, PolicyConfig, PromptConfig
from reflex_export.architecture import Architecture
from reflex_export.chain import PolicyChain
from reflex_export.denoise import build_denoise
from reflex_export.encoder import build_encoder
from reflex_export.graph import Array, OnnxModel
from reflex_export.normalization import MeanStd
from reflex_export.preprocess import build_preprocess
from reflex_export.repository import PolicyFiles, identify, write_policy
from reflex_export.seeded_weights import seeded_weights
from reflex_export.tokenizer import PAD_ID, build_tokenizer
from reflex_export.triton_config import Component, ensemble_inputs

__all__ = ["ACTION_STATISTICS", "ARCHITECTURE", "STATE_STATISTICS", "build_demo", "build_models", "main"]

ARCHITECTURE: Final = Architecture(
    cameras=("image",),
    image_size=64,
    patch_size=16,
    vision_width=64,
    vision_heads=4,
    vision_layers=2,
    vision_mlp=128,
    vocabulary=512,
    max_tokens=48,
    state_dim=6,
    width=96,
    mlp=192,
    layers=3,
    heads=4,
    kv_heads=2,
    head_dim=24,
    expert_width=64,
    expert_mlp=128,
    noise_dim=7,
    horizon=50,
    denoising_steps=10,
    min_period=4e-3,
    max_period=4.0,
)
STATE_STATISTICS: Final = MeanStd(mean=(0.45, 0.0, 0.4, 3.14, 0.0, 0.0), std=(0.15, 0.2, 0.15, 0.3, 0.3, 0.5))
"""x, y, z in metres and roll, pitch, yaw in radians, around a gripper that points down over a table."""
ACTION_STATISTICS: Final = MeanStd(mean=(0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785), std=(0.02,) * 7)
"""Seven joint positions in radians around the arm's ready pose. The small spread keeps the jumps between the steps of
an untrained chunk under what 20 Hz control of the arm's slowest joints (2.175 rad/s) allows."""
_CANARY_TOLERANCE_RAD: Final = 1e-3
"""Far above the difference between two float32 runtimes (1e-5), below what another observation changes (1e-2)."""
_DESCRIPTION: Final = (
    "UNTRAINED demonstration policy: seeded random weights of a flow-matching VLA's real shape. It only shows the "
    "request path; its actions mean nothing, so never run it on a real arm."
)


def build_models(seed: int) -> tuple[OnnxModel, OnnxModel, OnnxModel]:
    """Preprocess, encoder, denoise."""
    weights = seeded_weights(ARCHITECTURE, seed)
    return (
        build_preprocess(ARCHITECTURE.cameras, ARCHITECTURE.image_size),
        build_encoder(ARCHITECTURE, weights, STATE_STATISTICS),
        build_denoise(ARCHITECTURE, weights, ACTION_STATISTICS),
    )


def build_demo(seed: int = 0, policy_id: str = "demo") -> PolicyFiles:
    """The whole policy; the same seed and package versions give the same bytes."""
    models = build_models(seed)
    preprocess, encoder, denoise = models
    # An encoder is bound by arithmetic even alone, a denoising step by reading its weights: only there a wait pays.
    components = (
        Component("preprocess", preprocess.inputs, preprocess.outputs, {"model.onnx": preprocess.content}, 4),
        Component("encoder", encoder.inputs, encoder.outputs, {"model.onnx": encoder.content}, 2),
        Component("denoise", denoise.inputs, denoise.outputs, {"model.onnx": denoise.content}, 8),
    )
    tokenizer = build_tokenizer()
    config = _policy_config(policy_id, components, tokenizer)
    canary = _canary_inputs(config, tokenizer)
    answer = PolicyChain(models).run({name: tensor[None] for name, tensor in canary.items()})
    return PolicyFiles(config, components, tokenizer, {**canary, "expected.actions": answer["actions"][0]})


def _policy_config(policy_id: str, components: tuple[Component, ...], tokenizer: str) -> PolicyConfig:
    a = ARCHITECTURE
    identity = identify(policy_id, components, tokenizer)
    return PolicyConfig(
        schema_version=1,
        policy_id=policy_id,
        policy_hash=identity.policy_hash,
        export_id=identity.export_id,
        family="demo",
        trained=False,
        description=_DESCRIPTION,
        embodiment="franka",
        cameras=tuple(CameraConfig(name=name, required=True) for name in a.cameras),
        state_dim=a.state_dim,
        action_dim=a.noise_dim,
        noise_dim=a.noise_dim,
        horizon=a.horizon,
        denoising_steps=a.denoising_steps,
        prompt=PromptConfig(style="newline", max_tokens=a.max_tokens, pad_id=PAD_ID),
        precision="fp32",
        engine="onnx",
        inference_mode="onnx_cpu",
        inputs=ensemble_inputs(components),
        outputs=components[-1].outputs,
        canary=CanaryConfig(tolerance=_CANARY_TOLERANCE_RAD),
        versions=_versions(),
    )


def _canary_inputs(config: PolicyConfig, tokenizer: str) -> Mapping[str, Array]:
    """A stored observation: a colour gradient, one instruction, a state near the mean."""
    ids = Tokenizer.from_str(tokenizer).encode("pick up the red cup\n").ids
    ramp = np.arange(32, dtype=np.uint8) * 8
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(128)), axis=2)
    padding = ARCHITECTURE.max_tokens - len(ids)
    return {
        "image.image": image,
        "camera_mask": np.array([True]),
        "state": np.array([0.4, 0.1, 0.3, 3.1, 0.05, -0.1], np.float32),
        "tokens": np.array([*ids, *[PAD_ID] * padding], np.int64),
        "token_mask": np.arange(ARCHITECTURE.max_tokens) < len(ids),
        # RandomState's stream is frozen for good, unlike that of NumPy's newer generators.
        "noise": np.random.RandomState(0).standard_normal((config.horizon, config.noise_dim)).astype(np.float32),
    }


def _versions() -> dict[str, str]:
    packages = ("numpy", "onnx", "onnx-ir", "onnxruntime", "tokenizers")
    return {"reflex": __version__, **{name: importlib.metadata.version(name) for name in packages}}


def main() -> None:
    """Write the demo policy into a model repository."""
    parser = argparse.ArgumentParser(prog="python -m reflex_export.demo", description=main.__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the model repository, made when absent")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0, the one that ships)")
    arguments = parser.parse_args()
    write_policy(arguments.output, build_demo(arguments.seed))


if __name__ == "__main__":
    main()
