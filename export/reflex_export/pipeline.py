"""`reflex export`: a checkpoint in, a policy in a model repository out, or nothing at all.

read > build the graphs > write them beside the repository > run them on a canary > compare > publish by renaming
"""

from __future__ import annotations

import importlib
import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

import reflex
from reflex.embodiments import Embodiment, bundled_embodiments, load_embodiment
from reflex.policy_config import CONFIG_FILE, EMBODIMENT_FILE, CameraConfig, CanaryConfig, PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError, ParityError, UnsupportedOptionError
from reflex_export.families.common import FamilyGraphs, Precision
from reflex_export.graph import Array
from reflex_export.parity import GATES, Parity, PolicyRunner, generated_inputs
from reflex_export.policy_prompt import prompt_config
from reflex_export.recorded import find_cases, read_case
from reflex_export.repository import npz_bytes
from reflex_export.staged import StagedModel, StagedPolicy, identity_of, staging
from reflex_export.triton_config import ensemble_inputs

__all__ = ["ExportOptions", "ExportReport", "default_steps", "export_checkpoint"]

ENCODER_MAX_BATCH: Final = 2
PREPROCESS_MAX_BATCH: Final = 4
CANARY_SHARE: Final = 1e-3
"""Of the largest expected action: what another build of the runtime may differ by; FP16 twenty times more."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class ExportOptions:
    """What `reflex export` was told."""

    repository: Path
    name: str
    embodiment: str | None = None
    precision: Precision = "fp32"
    steps: tuple[int, ...] = ()
    """Empty: the checkpoint's own number. The first is the policy `name`, each further one `<name>-<steps>steps`."""
    max_batch: int = 8
    optional_cameras: frozenset[str] = frozenset()
    cases: Path | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class ExportReport:
    """What was made, one entry per policy."""

    policies: tuple[PolicyConfig, ...]
    published: bool


def export_checkpoint(
    checkpoint: Checkpoint, options: ExportOptions, progress: Progress = lambda _stage: None
) -> ExportReport:
    """Export, verify and publish. Raises `CheckpointError` or `SetupError`; then the repository is as it was."""
    embodiment = _embodiment(checkpoint, options.embodiment)
    _check_cameras(checkpoint, options.optional_cameras)
    steps = options.steps or (default_steps(checkpoint),)
    progress("building the graphs")
    graphs = _build(checkpoint, steps, options.precision)
    with staging(options.repository) as staged:
        progress("writing the models")
        variants = _write_models(staged, graphs, options, steps)
        models = {model.name: model for variant in variants for model in variant.models}
        export_id = _export_id(tuple(models.values()), checkpoint, options)
        configs = []
        for variant in variants:
            progress(f"checking {variant.policy_id}")
            configs.append(_finish(staged, variant, checkpoint, embodiment, options, export_id))
        for model in models.values():
            staged.write_component_config(model, export_id)
        if not options.dry_run:
            progress("publishing")
            staged.publish()
    return ExportReport(tuple(configs), not options.dry_run)


def default_steps(checkpoint: Checkpoint) -> int:
    """The checkpoint's own number of denoising steps; 1 for a family without a loop."""
    config = checkpoint.config
    names = ("num_steps", "num_inference_steps", "num_train_timesteps")
    return next((int(config[name]) for name in names if config.get(name)), 1)


@dataclass(frozen=True)
class _Variant:
    """One policy of an export: one step count."""

    policy_id: str
    steps: int
    models: tuple[StagedModel, ...]


def _build(checkpoint: Checkpoint, steps: tuple[int, ...], precision: Precision) -> FamilyGraphs:
    family = importlib.import_module(f"reflex_export.families.{checkpoint.family}")
    graphs: FamilyGraphs = family.build(checkpoint, steps=steps, precision=precision)
    return graphs


def _export_id(models: tuple[StagedModel, ...], checkpoint: Checkpoint, options: ExportOptions) -> str:
    """Another one for whatever makes a component different: a repository of two exports must be seen to be one."""
    salt = {
        "name": options.name,
        "source": f"{checkpoint.source}@{checkpoint.revision}",
        "max_batch": str(options.max_batch),
        "components": " ".join(model.name for model in models),
    }
    return identity_of(models, salt).export_id


def _write_models(
    staged: StagedPolicy, graphs: FamilyGraphs, options: ExportOptions, steps: tuple[int, ...]
) -> list[_Variant]:
    name = options.name
    shared = (
        staged.write_model(f"{name}_preprocess", "preprocess", graphs.preprocess, PREPROCESS_MAX_BATCH),
        staged.write_model(f"{name}_encoder", "encoder", graphs.encoder, ENCODER_MAX_BATCH),
    )
    variants = []
    for count in steps:
        policy_id = name if count == steps[0] else f"{name}-{count}steps"
        denoise = staged.write_model(f"{policy_id}_denoise", "denoise", graphs.denoise[count], options.max_batch)
        variants.append(_Variant(policy_id, count, (*shared, denoise)))
    return variants


def _finish(
    staged: StagedPolicy,
    variant: _Variant,
    checkpoint: Checkpoint,
    embodiment: Embodiment,
    options: ExportOptions,
    export_id: str,
) -> PolicyConfig:
    """Everything of the ensemble's folder, and the parity check."""
    directory = staged.write_ensemble(variant.policy_id, variant.models, export_id)
    runner = PolicyRunner(staged.folder / model.name / "1" / "model.onnx" for model in variant.models)
    draft = _config(variant, checkpoint, embodiment, options, export_id=export_id)
    canary = _canary(runner, draft, checkpoint)
    tolerance = _canary_tolerance(canary["expected.actions"], options.precision)
    parity = _parity(runner, draft, checkpoint, variant.steps, options)
    if parity.verdict == "failed" and not options.force:
        raise ParityError(
            f"{variant.policy_id} differs from {parity.against} by {parity.max_abs:.2e} (cosine {parity.cosine:.7f}) "
            f"in {parity.worst}; the gate is {parity.gate.max_abs:.0e} and {parity.gate.cosine}. "
            "Nothing was published; try --precision fp32, or publish all the same with --force"
        )
    config = draft.model_copy(update={"canary": CanaryConfig(tolerance=tolerance), "parity": parity.record()})
    (directory / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (directory / "canary.npz").write_bytes(npz_bytes(canary))
    if options.embodiment not in bundled_embodiments():
        # A robot's own file goes along: who serves the policy must hold it to the same limits.
        (directory / EMBODIMENT_FILE).write_bytes(Path(str(options.embodiment)).read_bytes())
    if config.prompt is not None and checkpoint.text is not None:
        (directory / config.prompt.tokenizer_file).write_text(checkpoint.text.tokenizer_json, encoding="utf-8")
    return config


def _config(
    variant: _Variant, checkpoint: Checkpoint, embodiment: Embodiment, options: ExportOptions, *, export_id: str
) -> PolicyConfig:
    components = [model.component for model in variant.models]
    cameras = [camera.name for camera in checkpoint.cameras if not camera.is_empty]
    outputs = components[-1].outputs
    horizon, action_dim = next(tensor.shape for tensor in outputs if tensor.name == "actions")
    inputs = ensemble_inputs(components)
    noise = [tensor.shape[-1] for tensor in inputs if tensor.name == "noise"]
    at = f"@{checkpoint.revision}" if checkpoint.revision else ""
    return PolicyConfig(
        schema_version=1,
        policy_id=variant.policy_id,
        policy_hash=identity_of(variant.models, {}).policy_hash,
        export_id=export_id,
        family=checkpoint.family,
        trained=True,
        embodiment=embodiment.name,
        cameras=tuple(CameraConfig(name=name, required=name not in options.optional_cameras) for name in cameras),
        state_dim=checkpoint.state_dim,
        action_dim=action_dim,
        noise_dim=noise[0] if noise else action_dim,
        horizon=horizon,
        denoising_steps=variant.steps,
        prompt=prompt_config(checkpoint),
        precision=options.precision,
        engine="onnx",
        inference_mode="onnx_cpu",
        components={model.component.role: model.name for model in variant.models},
        source=f"{checkpoint.source}{at}",
        inputs=inputs,
        outputs=outputs,
        versions=_versions(),
    )


def _canary(runner: PolicyRunner, config: PolicyConfig, checkpoint: Checkpoint) -> Mapping[str, Array]:
    """A generated observation and the answer of the very models that are published; no batch axis."""
    inputs = _typical_inputs(config, checkpoint)
    actions = runner.run(inputs)["actions"][0]
    if not np.isfinite(actions).all():
        raise ParityError(f"{config.policy_id} answers NaN to a typical observation; try --precision fp32")
    return {name: tensor[0] for name, tensor in inputs.items()} | {"expected.actions": actions}


def _canary_tolerance(actions: Array, precision: Precision) -> float:
    scale = max(1e-3, float(np.abs(actions).max()))
    return scale * CANARY_SHARE * (20 if precision == "fp16" else 1)


def _parity(
    runner: PolicyRunner, config: PolicyConfig, checkpoint: Checkpoint, steps: int, options: ExportOptions
) -> Parity:
    parity = Parity(GATES[options.precision], "recorded cases")
    for path in find_cases(options.cases) if options.cases else ():
        case = read_case(path, checkpoint, config.inputs)
        if case.steps is not None and case.steps != steps:
            parity.skipped.append(case.name)
            continue
        parity.compare(case.name, runner.run(case.inputs)["actions_normalized"], case.actions_normalized)
    if not parity.cases and options.precision == "fp16":
        return _parity_with_fp32(runner, config, checkpoint, steps)
    return parity


def _parity_with_fp32(runner: PolicyRunner, config: PolicyConfig, checkpoint: Checkpoint, steps: int) -> Parity:
    """Without recordings, FP16 is held against the same checkpoint's FP32 graphs."""
    parity = Parity(GATES["fp16"], "the FP32 graphs")
    with tempfile.TemporaryDirectory(prefix="reflex-export-") as scratch:
        folder = Path(scratch)
        graphs = _build(checkpoint, (steps,), "fp32")
        paths = []
        for index, model in enumerate((graphs.preprocess, graphs.encoder, graphs.denoise[steps])):
            (folder / str(index)).mkdir()
            model.save(folder / str(index))
            paths.append(folder / str(index) / "model.onnx")
        exact = PolicyRunner(paths)
        for seed in range(4):
            inputs = _typical_inputs(config, checkpoint, seed)
            found, expected = (one.run(inputs)["actions_normalized"] for one in (runner, exact))
            parity.compare(f"generated observation {seed}", found, expected)
    return parity


def _typical_inputs(config: PolicyConfig, checkpoint: Checkpoint, seed: int = 0) -> dict[str, Array]:
    return generated_inputs(
        config.inputs,
        state=_typical_state(checkpoint),
        vocabulary=_vocabulary(checkpoint),
        image_sizes={camera.name: camera.shape[1:] for camera in checkpoint.cameras},
        seed=seed,
    )


def _typical_state(checkpoint: Checkpoint) -> Array:
    statistics = checkpoint.state.statistics
    for low, high in (("mean", "mean"), ("q01", "q99"), ("min", "max"), ("q10", "q90")):
        if low in statistics and high in statistics:
            return (statistics[low] + statistics[high]) / np.float32(2)
    return np.zeros(checkpoint.state_dim, np.float32)


def _vocabulary(checkpoint: Checkpoint) -> int:
    return int(Tokenizer.from_str(checkpoint.text.tokenizer_json).get_vocab_size()) if checkpoint.text else 1


def _embodiment(checkpoint: Checkpoint, name: str | None) -> Embodiment:
    dims = (checkpoint.state_dim, checkpoint.action_dim)
    if name is None:
        known = [load_embodiment(each) for each in bundled_embodiments()]
        fitting = ", ".join(each.name for each in known if (each.state_dim, each.action_dim) == dims) or "none"
        raise CheckpointError(
            "say which robot this policy drives with --embodiment; "
            f"it has {dims[0]} state and {dims[1]} action values. Of the embodiments that come with Reflex as many: "
            f"{fitting}; docs/embodiments.md says how to write one"
        )
    embodiment = load_embodiment(name)
    if (embodiment.state_dim, embodiment.action_dim) != dims:
        raise CheckpointError(
            f"the policy has {dims[0]} state and {dims[1]} action values, embodiment {embodiment.name} has "
            f"{embodiment.state_dim} and {embodiment.action_dim}; pass the --embodiment that it was trained for"
        )
    return embodiment


def _check_cameras(checkpoint: Checkpoint, optional: frozenset[str]) -> None:
    names = {camera.name for camera in checkpoint.cameras if not camera.is_empty}
    if not optional <= names:
        raise UnsupportedOptionError(
            f"--optional-camera {', '.join(sorted(optional - names))}: "
            f"the policy's cameras are {', '.join(sorted(names))}"
        )


def _versions() -> dict[str, str]:
    packages = ("numpy", "onnx-ir", "onnxruntime", "tokenizers")
    return {"reflex": reflex.__version__, **{name: importlib.metadata.version(name) for name in packages}}
