"""The models of an export on their way to disk: which there are, what they are called, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reflex_export.families.common import FamilyGraphs
from reflex_export.policy_record import Variant
from reflex_export.progress import Progress, Stage
from reflex_export.staged import NamedModel, StagedModel, StagedPolicy

__all__ = ["write_variants"]

ENCODER_MAX_BATCH: Final = 2
PREPROCESS_MAX_BATCH: Final = 4


def write_variants(
    staged: StagedPolicy, graphs: FamilyGraphs, name: str, steps: Sequence[int], *, max_batch: int, progress: Progress
) -> list[Variant]:
    """One policy for each step count, `name` and then `<name>-<steps>steps`; all share preprocess and encoder.

    `progress` hears of it from another thread.
    """
    policy_ids = [name, *(f"{name}-{number}steps" for number in steps[1:])]
    models = [
        NamedModel(f"{name}_preprocess", "preprocess", graphs.preprocess, PREPROCESS_MAX_BATCH),
        NamedModel(f"{name}_encoder", "encoder", graphs.encoder, ENCODER_MAX_BATCH),
        *(
            NamedModel(f"{policy_id}_denoise", "denoise", graphs.denoise[number], max_batch)
            for policy_id, number in zip(policy_ids, steps, strict=True)
        ),
    ]
    preprocess, encoder, *denoises = _written(staged, models, progress)
    return [
        Variant(policy_id, number, (preprocess, encoder, denoise))
        for policy_id, number, denoise in zip(policy_ids, steps, denoises, strict=True)
    ]


def _written(staged: StagedPolicy, models: Sequence[NamedModel], progress: Progress) -> list[StagedModel]:
    total = sum(len(named.model.content) + named.model.data_bytes for named in models)
    written = 0

    def count(more_bytes: int) -> None:
        nonlocal written
        written += more_bytes
        progress(Stage("writing the models", written, total, "bytes"))

    return staged.write_models(models, count)
