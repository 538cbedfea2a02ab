"""A policy that does no work: its answer folds in a nonce, so that a wrong or stale answer cannot pass unseen.

It takes and answers what the demo policy does. For every step t of the chunk:

    actions[t, 0] = state[0]                the nonce
    actions[t, 1] = state[1]
    actions[t, 2] = red of the first camera's top left pixel / 255, or 0 when it is absent: proof that the image arrived
    actions[t, 3:] = 0

Serve it with the guard off: a nonce is no joint position.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from reflex.policy_config import CameraConfig, CanaryConfig, PolicyConfig, PromptConfig
from reflex_export.demo_data.tokenizer import PAD_ID, build_tokenizer
from reflex_export.graph.graph import GraphBuilder, OnnxModel
from reflex_export.publishing.staged import StagedModel, StagedPolicy, identity_of, staging, write_contract
from reflex_export.publishing.triton_config import Component, ensemble_inputs

__all__ = ["Fault", "PythonPart", "preprocess_graph", "set_behaviour", "write_nonce_policy"]

Fault = Literal["nan", "inf", "wrong_shape", "error", "exit"] | None
"""A non-finite value, a chunk one step short, an error answer, or a model process that dies.

Triton 2.51 does not start a dead model process again: after `exit` every call is INTERNAL until Triton restarts.
"""

STATE_DIM: Final = 6
ACTION_DIM: Final = 7
HORIZON: Final = 50
MAX_TOKENS: Final = 48
DENOISE_MAX_BATCH: Final = 8
MAX_BATCH: Final = MappingProxyType({"preprocess": 4, "encoder": 2, "denoise": DENOISE_MAX_BATCH})
_PYTHON_MODEL: Final = Path(__file__).with_name("python_models") / "nonce_denoise.py"


@dataclass(frozen=True, slots=True)
class PythonPart:
    """A Python model in the place of a graph, with its inputs and outputs."""

    file: Path
    max_batch: int
    options: Mapping[str, str]


NO_PARTS: Final[Mapping[str, PythonPart]] = MappingProxyType({})


def write_nonce_policy(
    repository: Path,
    name: str = "nonce",
    *,
    delay_ms: float = 0,
    fault: Fault = None,
    control_file: Path | None = None,
    cameras: Sequence[str] = ("image",),
    parts: Mapping[str, PythonPart] = NO_PARTS,
) -> None:
    """Write the policy's four directories into `repository`.

    With a delay, a fault or a control file the denoise component is a Python model: it sleeps `delay_ms` per batch and
    injects the fault; `set_behaviour` changes both while it is being served. Otherwise all three are ONNX graphs,
    except `parts`, by role.
    """
    tokenizer = build_tokenizer()
    with staging(repository) as staged:
        if options := _options(delay_ms, fault, control_file):
            parts = {**parts, "denoise": PythonPart(_PYTHON_MODEL, DENOISE_MAX_BATCH, options)}
        models = _write_models(staged, name, cameras, parts)
        config = _config(name, cameras, models, tokenizer)
        for model in models:
            staged.write_component_config(model, config.export_id)
        write_contract(staged.write_ensemble(name, models, config.export_id), config, _canary(cameras), tokenizer)
        staged.publish()


def set_behaviour(control_file: Path, *, delay_ms: float = 0, fault: Fault = None) -> None:
    """Change what a served policy with this control file does, from its next batch on; removing the file undoes it."""
    partial = control_file.with_name(f".{control_file.name}.partial")
    partial.write_text(json.dumps({"delay_ms": delay_ms, "fault": fault}), encoding="utf-8")
    partial.replace(control_file)


def _build_models(cameras: Sequence[str]) -> tuple[OnnxModel, OnnxModel, OnnxModel]:
    """Preprocess, encoder, denoise as graphs of a few operators."""
    return preprocess_graph(cameras), _encoder(len(cameras)), _denoise()


def preprocess_graph(cameras: Sequence[str]) -> OnnxModel:
    """The images, of which the first is read -> red FP32 [1]."""
    g = GraphBuilder("preprocess")
    images = [g.input(f"image.{camera}", "UINT8", (-1, -1, 3)) for camera in cameras]
    pixel = g.op("Slice", images[0], g.ints(0, 0, 0), g.ints(1, 1, 1), g.ints(1, 2, 3))
    red = g.op("Div", g.op("Cast", pixel, to=int(ir.DataType.FLOAT)), g.constant(255.0))
    g.output(g.op("Reshape", red, g.ints(-1, 1)), "red", "FP32", (1,))
    return g.build()


def _encoder(cameras: int) -> OnnxModel:
    """red, camera_mask, state (and the text, unread) -> folded FP32 [7]."""
    g = GraphBuilder("encoder")
    red = g.input("red", "FP32", (1,))
    camera_mask = g.input("camera_mask", "BOOL", (cameras,))
    state = g.input("state", "FP32", (STATE_DIM,))
    g.input("tokens", "INT64", (MAX_TOKENS,))
    g.input("token_mask", "BOOL", (MAX_TOKENS,))
    nonce = g.op("Slice", state, g.ints(0), g.ints(2), g.ints(1))
    first = g.op("Slice", camera_mask, g.ints(0), g.ints(1), g.ints(1))
    seen = g.op("Where", first, red, g.constant(0.0))
    pads = g.ints(0, 0, 0, ACTION_DIM - 3)
    folded = g.op("Pad", g.op("Concat", nonce, seen, axis=1), pads, g.constant(0.0), mode="constant")
    g.output(folded, "folded", "FP32", (ACTION_DIM,))
    return g.build()


def _denoise() -> OnnxModel:
    """folded (and the noise, unread) -> actions FP32 [50, 7]."""
    g = GraphBuilder("denoise")
    folded = g.input("folded", "FP32", (ACTION_DIM,))
    g.input("noise", "FP32", (HORIZON, ACTION_DIM))
    repeats = g.constant(np.zeros((1, HORIZON, 1)))
    g.output(g.op("Add", g.op("Unsqueeze", folded, g.ints(1)), repeats), "actions", "FP32", (HORIZON, ACTION_DIM))
    return g.build()


def _write_models(
    staged: StagedPolicy, name: str, cameras: Sequence[str], parts: Mapping[str, PythonPart]
) -> tuple[StagedModel, ...]:
    return tuple(
        _write_part(staged, f"{name}_{role}", role, graph, parts[role])
        if role in parts
        else staged.write_model(f"{name}_{role}", role, graph, MAX_BATCH[role])
        for role, graph in zip(MAX_BATCH, _build_models(cameras), strict=True)
    )


def _write_part(staged: StagedPolicy, name: str, role: str, graph: OnnxModel, part: PythonPart) -> StagedModel:
    component = Component(role, graph.inputs, graph.outputs, part.max_batch, "python", part.options)
    return staged.write_files(name, component, {"model.py": part.file.read_bytes()})


def _options(delay_ms: float, fault: Fault, control_file: Path | None) -> dict[str, str]:
    options = {"delay_ms": str(delay_ms)} if delay_ms else {}
    if fault is not None:
        options["fault"] = fault
    if control_file is not None:
        options["control_file"] = str(control_file.absolute())
    return options


def _config(name: str, cameras: Sequence[str], models: tuple[StagedModel, ...], tokenizer: str) -> PolicyConfig:
    identity = identity_of(models, {"name": name, "tokenizer": tokenizer})
    components = [model.component for model in models]
    return PolicyConfig(
        schema_version=1,
        policy_id=name,
        policy_hash=identity.policy_hash,
        export_id=identity.export_id,
        family="nonce",
        trained=False,
        description="Folds state[0] into its answer and does no work: for benchmarks and fault tests only.",
        embodiment="franka",
        cameras=tuple(CameraConfig(name=camera, required=True) for camera in cameras),
        state_dim=STATE_DIM,
        action_dim=ACTION_DIM,
        noise_dim=ACTION_DIM,
        horizon=HORIZON,
        denoising_steps=1,
        prompt=PromptConfig(style="newline", max_tokens=MAX_TOKENS, pad_id=PAD_ID),
        precision="fp32",
        engine="onnx",
        inference_mode="onnx_cpu",
        inputs=ensemble_inputs(components),
        outputs=components[-1].outputs,
        canary=CanaryConfig(tolerance=1e-6),
    )


def _canary(cameras: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    expected = np.zeros((HORIZON, ACTION_DIM), np.float32)
    expected[:, :3] = (0.25, -0.5, 1.0)
    return {
        **{f"image.{camera}": np.full((32, 32, 3), 255, np.uint8) for camera in cameras},
        "camera_mask": np.ones(len(cameras), np.bool_),
        "state": np.array([0.25, -0.5, 0.0, 0.0, 0.0, 0.0], np.float32),
        "tokens": np.full(MAX_TOKENS, PAD_ID, np.int64),
        "token_mask": np.zeros(MAX_TOKENS, np.bool_),
        "noise": np.zeros((HORIZON, ACTION_DIM), np.float32),
        "expected.actions": expected,
    }
