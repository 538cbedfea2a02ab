"""What the ensemble's folder of a policy holds besides Triton's own configuration."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import reflex
from reflex.embodiments import Embodiment, bundled_embodiments
from reflex.model_repository import EMBODIMENT_FILE
from reflex.policy_config import CameraConfig, MergedAdapterConfig, PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.configs.pi import PiConfig
from reflex_export.exporting.action_space import action_space
from reflex_export.families.common import Precision
from reflex_export.graph.graph import Array
from reflex_export.normalization_table import normalization_table
from reflex_export.policy_prompt import prompt_config
from reflex_export.publishing.staged import StagedModel, identity_of, write_contract
from reflex_export.publishing.triton_config import ensemble_inputs

__all__ = ["Variant", "draft_config", "source_of", "write_policy_files"]


@dataclass(frozen=True)
class Variant:
    """One policy of an export: one step count."""

    policy_id: str
    steps: int
    models: tuple[StagedModel, ...]


def source_of(checkpoint: Checkpoint) -> str:
    """Where it came from, as reflex_config.json says it: `verify` reads the checkpoint there again."""
    return f"{checkpoint.source}@{checkpoint.revision}" if checkpoint.revision else checkpoint.source


def draft_config(
    variant: Variant,
    checkpoint: Checkpoint,
    embodiment: Embodiment,
    *,
    adapter: MergedAdapterConfig | None,
    precision: Precision,
    optional_cameras: AbstractSet[str],
    export_id: str,
    source: str,
    stats: str | None,
    warnings: tuple[str, ...],
    trained: bool,
    description: str,
) -> PolicyConfig:
    """reflex_config.json of an ONNX policy that has not run yet: without canary and parity."""
    components = [model.component for model in variant.models]
    cameras = [camera.name for camera in checkpoint.cameras if not camera.is_empty]
    outputs = components[-1].outputs
    horizon, action_dim = next(tensor.shape for tensor in outputs if tensor.name == "actions")
    inputs = ensemble_inputs(components)
    noise = [tensor.shape[-1] for tensor in inputs if tensor.name == "noise"]
    return PolicyConfig(
        schema_version=1,
        policy_id=variant.policy_id,
        policy_hash=identity_of(variant.models, {}).policy_hash,
        export_id=export_id,
        family=checkpoint.family,
        trained=trained,
        description=description,
        embodiment=embodiment.name,
        cameras=tuple(CameraConfig(name=name, required=name not in optional_cameras) for name in cameras),
        state_dim=checkpoint.state_dim,
        action_dim=action_dim,
        noise_dim=noise[0] if noise else action_dim,
        horizon=horizon,
        n_action_steps=checkpoint.config.n_action_steps or horizon,
        denoising_steps=variant.steps,
        prompt=prompt_config(checkpoint),
        precision=precision,
        engine="onnx",
        inference_mode="onnx_cpu",
        components={model.component.role: model.name for model in variant.models},
        source=source,
        adapter=adapter,
        stats=stats,
        normalization=normalization_table(checkpoint),
        action_space=action_space(checkpoint),
        rtc_training_max_delay=_training_max_delay(checkpoint),
        warnings=warnings,
        inputs=inputs,
        outputs=outputs,
        versions=_versions(),
    )


def _training_max_delay(checkpoint: Checkpoint) -> int:
    return checkpoint.config.rtc_training_max_delay if isinstance(checkpoint.config, PiConfig) else 0


def write_policy_files(
    directory: Path,
    config: PolicyConfig,
    checkpoint: Checkpoint,
    embodiment: str | None,
    canary: Mapping[str, Array],
) -> None:
    """reflex_config.json, canary, tokenizer, and the embodiment if it is a file of the robot's own."""
    write_contract(directory, config, canary, checkpoint.text.tokenizer_json if checkpoint.text else None)
    if embodiment not in bundled_embodiments():
        # A robot's own file goes along: who serves the policy must hold it to the same limits.
        (directory / EMBODIMENT_FILE).write_bytes(Path(str(embodiment)).read_bytes())


def _versions() -> dict[str, str]:
    packages = ("numpy", "onnx-ir", "onnxruntime", "tokenizers")
    return {"reflex": reflex.__version__, **{name: importlib.metadata.version(name) for name in packages}}
