"""What a policy is, how much it computes, and the least time that a GPU needs for it. Nothing is run.

The figures are counted in the graphs that the export writes: their weights are not read, only their shapes. Every time
is a lower bound: the sum over encoder and denoising of max(weight bytes / memory bandwidth, FLOPs / dense FP16 rate).
It leaves out launches, activations, preprocessing, transport, and every rate that a real kernel misses. It holds for
weights that do not fit into a GPU's cache, batch 1, and all tokens of the padded prompt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.model_repository import CONFIG_FILE, one_policy_of, policies_of, policy_folder
from reflex.policy_config import (
    MergedAdapterConfig,
    NormalizationConfig,
    PromptConfig,
    read_policy_config,
)
from reflex.readiness.precision_proof import precision_proof
from reflex.wire import PrecisionProof
from reflex_export.adapter_record import adapter_record
from reflex_export.checking.graph_work import GraphWork, read_work
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.family_graphs import build_graphs, default_steps
from reflex_export.normalization_table import normalization_table
from reflex_export.policy_prompt import prompt_config

__all__ = [
    "GPUS",
    "Bound",
    "CameraSize",
    "Gpu",
    "Inspection",
    "Phase",
    "find_policy",
    "inspect_checkpoint",
    "inspect_policy",
    "lower_bound",
]

FP16_BYTES: Final = 2
_PARTS: Final[tuple[tuple[str, str], ...]] = (
    ("text embedding", r"embed_tokens|paligemma\.lm_head|^embedding\."),
    (
        "projections",
        r"connector|projector|state_proj|(action|time)_(in|out|time|mlp|proj)|^state\.|img_feat_input_proj",
    ),
    ("vision tower", r"vision_|^vision\.|backbone|rgb_encoder"),
    ("action expert", r"lm_expert|gemma_expert|^expert\."),
    ("language model", r"language_model|text_model|^layers\."),
    ("U-Net", r"unet\."),
    ("transformer", r"(^|\.)(encoder|decoder|vae_encoder)"),
)
"""First match wins; a graph's weights have the checkpoint's names."""
_CONSTANT: Final = re.compile(r"c\d+")
"""How `GraphBuilder.constant` names what is no weight."""


@dataclass(frozen=True)
class Gpu:
    """One GPU's peak rates."""

    name: str
    bandwidth_bytes_s: float
    fp16_flops_s: float
    """Dense, with FP32 accumulation."""
    source: str


GPUS: Final = (
    Gpu("H200", 4.8e12, 989e12, "NVIDIA H200 data sheet"),
    Gpu("H100 SXM", 3.35e12, 989e12, "NVIDIA H100 data sheet"),
    Gpu("RTX 5090", 1.79e12, 209e12, "NVIDIA RTX Blackwell data sheet"),
    Gpu("RTX 4090", 1.008e12, 165e12, "NVIDIA Ada data sheet"),
    Gpu("A10G", 0.6e12, 125e12, "NVIDIA A10 data sheet"),
    Gpu("L4", 0.3e12, 121e12, "NVIDIA L4 data sheet"),
    Gpu("Jetson AGX Orin", 0.2e12, 85e12, "NVIDIA Jetson AGX Orin data sheet"),
)


@dataclass(frozen=True)
class CameraSize:
    """A camera, and the training images' size where it is known (a repository's policy does not say it)."""

    name: str
    height: int | None = None
    width: int | None = None
    is_required: bool = True
    """False: a client may leave it out. An export decides this, a checkpoint does not."""


@dataclass(frozen=True)
class Phase:
    """What one request computes in one component."""

    name: str
    runs: int
    """Per chunk: the denoising steps, or 1."""
    weight_reads: int
    """Parameters that its products read per chunk: once in the encoder, again in every denoising step."""
    flops: int
    """Per chunk; a multiply and an add are two."""
    nodes: int = 0
    """Operators of the graph, from which a runtime makes its kernels."""


@dataclass(frozen=True)
class Bound:
    """The least milliseconds per chunk on one GPU, and what limits each phase."""

    gpu: str
    encoder_ms: float
    denoise_ms: float
    encoder_limit: str
    denoise_limit: str

    @property
    def chunk_ms(self) -> float:
        return self.encoder_ms + self.denoise_ms


@dataclass(frozen=True)
class Inspection:
    """Everything that can be said of a policy without running it."""

    source: str
    family: str
    cameras: tuple[CameraSize, ...]
    """Those that a client sends."""
    state_dim: int
    action_dim: int
    horizon: int
    executed: int | None
    """Of the horizon's actions, before the next chunk; None where nothing records it."""
    steps: int
    prompt: PromptConfig | None
    parts: Mapping[str, int]
    """Live parameters: those that the graphs hold, once each."""
    phases: tuple[Phase, Phase]
    """Encoder, denoise."""
    cache_shape: tuple[int, ...]
    """Of the prefix's keys, and of its values; empty for a family without them."""
    normalization: tuple[NormalizationConfig, ...] = ()
    """Empty where the graphs have it built in and nothing records it."""
    adapter: MergedAdapterConfig | None = None
    """What was merged; of a checkpoint without the hash of its base model, which would take reading it."""
    warnings: tuple[str, ...] = ()
    """What the export of a repository's policy warned of."""
    stored_parameters: int | None = None
    """In the checkpoint's files, with what is never read."""
    precision: str | None = None
    """Of a repository's policy, as the next three."""
    engine: str | None = None
    exported_from: str | None = None
    parity: str | None = None
    """The verdict; None where none is recorded."""
    precision_proof: PrecisionProof | None = None
    """How the precision of a repository's policy is known; None where there is nothing to say."""

    @property
    def parameters(self) -> int:
        return sum(self.parts.values())

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one request, in FP16."""
        return 2 * math.prod(self.cache_shape) * FP16_BYTES if self.cache_shape else 0

    @property
    def flops(self) -> int:
        """Per chunk."""
        return sum(phase.flops for phase in self.phases)

    @property
    def bounds(self) -> tuple[Bound, ...]:
        return tuple(lower_bound(self.phases, gpu) for gpu in GPUS)


def lower_bound(phases: tuple[Phase, Phase], gpu: Gpu) -> Bound:
    """The least time that `gpu` needs for one chunk in FP16."""
    (encoder_ms, encoder_limit), (denoise_ms, denoise_limit) = (_phase_bound(phase, gpu) for phase in phases)
    return Bound(gpu.name, encoder_ms, denoise_ms, encoder_limit, denoise_limit)


def find_policy(source: Path, policy: str | None) -> Path | None:
    """The folder of a repository's policy, or None when `source` is none of a repository.

    `SetupError` names the policies when there are several.
    """
    if policy is not None:
        return policy_folder(source, policy)
    if (source / CONFIG_FILE).is_file():
        return source
    return source / one_policy_of(source) if policies_of(source) else None


def inspect_checkpoint(checkpoint: Checkpoint, *, steps: int | None = None) -> Inspection:
    """`steps` instead of the checkpoint's own. `CheckpointError` when the graphs cannot be built from it."""
    count = default_steps(checkpoint) if steps is None else steps
    # FP32 only decides how weights would be stored; shapes and operators are those of FP16.
    graphs = build_graphs(checkpoint, (count,), "fp32")
    encoder, denoise = GraphWork(graphs.encoder.content), GraphWork(graphs.denoise[count].content)
    tensors = checkpoint.tensors
    return Inspection(
        source=checkpoint.source + (f"@{checkpoint.revision}" if checkpoint.revision else ""),
        family=checkpoint.family,
        cameras=tuple(
            CameraSize(camera.name, *camera.shape[1:]) for camera in checkpoint.cameras if not camera.is_empty
        ),
        state_dim=checkpoint.state_dim,
        action_dim=checkpoint.action_dim,
        horizon=denoise.output_shape("actions")[0],
        executed=checkpoint.config.n_action_steps,
        steps=count,
        prompt=prompt_config(checkpoint),
        parts=_parts(encoder, denoise),
        phases=_phases(encoder, denoise, count),
        cache_shape=encoder.output_shape("prefix_keys"),
        normalization=normalization_table(checkpoint),
        adapter=adapter_record(checkpoint.adapter, is_hashed=False),
        stored_parameters=sum(math.prod(tensors.shape(name)) for name in tensors.names()),
    )


def inspect_policy(folder: Path) -> Inspection:
    """A policy of a model repository; `RepositoryError` says which file is missing or damaged."""
    config = read_policy_config(folder)
    encoder, denoise = (read_work(folder.parent, config, role) for role in ("encoder", "denoise"))
    return Inspection(
        source=str(folder),
        family=config.family,
        cameras=tuple(CameraSize(camera.name, is_required=camera.required) for camera in config.cameras),
        state_dim=config.state_dim,
        action_dim=config.action_dim,
        horizon=config.horizon,
        executed=config.n_action_steps,
        steps=config.denoising_steps,
        prompt=config.prompt,
        parts=_parts(encoder, denoise),
        phases=_phases(encoder, denoise, config.denoising_steps),
        cache_shape=encoder.output_shape("prefix_keys"),
        normalization=config.normalization,
        adapter=config.adapter,
        warnings=config.warnings,
        precision=config.precision,
        engine=config.engine,
        exported_from=config.source,
        parity=str(config.parity["verdict"]) if config.parity else None,
        precision_proof=precision_proof(config),
    )


def _parts(*graphs: GraphWork) -> dict[str, int]:
    weights = {name: math.prod(shape) for graph in graphs for name, shape in graph.weights.items()}
    parts = dict.fromkeys((*(part for part, _ in _PARTS), "other"), 0)
    for name, size in weights.items():
        if not _CONSTANT.fullmatch(name):
            parts[_part_of(name)] += size
    return {part: size for part, size in parts.items() if size}


def _part_of(name: str) -> str:
    return next((part for part, pattern in _PARTS if re.search(pattern, name)), "other")


def _phases(encoder: GraphWork, denoise: GraphWork, steps: int) -> tuple[Phase, Phase]:
    once = sum(math.prod(encoder.weights[name]) for name in set(encoder.reads()))
    every_step = sum(math.prod(denoise.weights[name]) for name in denoise.reads())
    return Phase("encoder", 1, once, *encoder.work()), Phase("denoise", steps, every_step, *denoise.work())


def _phase_bound(phase: Phase, gpu: Gpu) -> tuple[float, str]:
    memory_s = phase.weight_reads * FP16_BYTES / gpu.bandwidth_bytes_s
    compute_s = phase.flops / gpu.fp16_flops_s
    return (memory_s * 1e3, "memory") if memory_s > compute_s else (compute_s * 1e3, "compute")
