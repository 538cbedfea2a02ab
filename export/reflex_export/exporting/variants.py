"""The models of an export on their way to disk: which there are, what they are called, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reflex_export.exporting.policy_record import Variant
from reflex_export.families.common import FamilyGraphs
from reflex_export.graph.onnx_model import OnnxModel
from reflex_export.progress import Progress, Stage
from reflex_export.publishing.staged import StagedModel, StagedPolicy

__all__ = ["write_variants"]

ENCODER_MAX_BATCH: Final = 2
PREPROCESS_MAX_BATCH: Final = 4


def write_variants(
    staged: StagedPolicy, graphs: FamilyGraphs, name: str, steps: Sequence[int], *, max_batch: int, progress: Progress
) -> list[Variant]:
    """One policy for each step count, `name` and then `<name>-<steps>steps`; all share preprocess and encoder."""
    for_cuda = {number: _for_cuda(graphs, number) for number in steps}
    models = (graphs.preprocess, graphs.encoder, *graphs.denoise.values())
    total = sum(map(_size_bytes, models)) + sum(len(model.content) for model in for_cuda.values() if model)
    written = 0

    def count(more_bytes: int) -> None:
        nonlocal written
        written += more_bytes
        progress(Stage("writing the models", written, total, "bytes"))

    def write(policy_id: str, role: str, model: OnnxModel, batch: int, other: OnnxModel | None = None) -> StagedModel:
        return staged.write_model(f"{policy_id}_{role}", role, model, batch, count, other)

    shared = (
        write(name, "preprocess", graphs.preprocess, PREPROCESS_MAX_BATCH),
        write(name, "encoder", graphs.encoder, ENCODER_MAX_BATCH),
    )
    variants = []
    for number in steps:
        policy_id = name if number == steps[0] else f"{name}-{number}steps"
        denoise = write(policy_id, "denoise", graphs.denoise[number], max_batch, for_cuda[number])
        variants.append(Variant(policy_id, number, (*shared, denoise)))
    return variants


def _for_cuda(graphs: FamilyGraphs, steps: int) -> OnnxModel | None:
    """The denoise's other form, where it gains something: CUDA's fastest attention is of FP16 alone.

    Where weights lie in the graph's own file they would be there twice.
    """
    masked = graphs.denoise[steps]
    if graphs.counted is None or not masked.external or not _has_half_attention(masked):
        return None
    return graphs.counted(steps)


def _has_half_attention(denoise: OnnxModel) -> bool:
    return any(tensor.name == "prefix_keys" and tensor.datatype == "FP16" for tensor in denoise.inputs)


def _size_bytes(model: OnnxModel) -> int:
    return len(model.content) + model.data_bytes
