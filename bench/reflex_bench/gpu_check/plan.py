"""What a run measures: everything on a card, a little of everything without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex_bench.gpu_check.ways import CARD_WAYS, Way
from reflex_export.families.common import Arithmetic

__all__ = ["FULL", "SHARES", "SMALL", "Plan"]

SHARES: Final[Mapping[str, float]] = {
    "ways": 0.12,
    "ceilings": 0.08,
    "chunks": 0.32,
    "parity": 0.22,
    "act": 0.10,
    "torch": 0.16,
}
"""Of the time; what a stage leaves, the next ones have. The first imports PyTorch, maybe from a cold disk, and
without it none runs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and numbers of one kind of run."""

    ways: Sequence[Way]
    copied_bytes: int
    product_side: int
    policies: Sequence[tuple[str, int]]
    """Families and cameras, in the order in which they are measured."""
    batches: Sequence[int]
    rounds: int
    arithmetics: Sequence[Arithmetic]
    cases: int | None
    """Recorded cases of a checkpoint, from the first; None for all."""
    acts: int
    steps: int
    seconds: float
    is_small: bool

    def checkpoint(self, golden: Path, scratch: Path, family: str) -> Path:
        """Where the checkpoint of a family lies, or will."""
        return golden / family if self.is_small else scratch / f"{family}-checkpoint"


FULL: Final = Plan(
    ways=CARD_WAYS,
    copied_bytes=2 << 30,
    product_side=8192,
    policies=[(family, cameras) for family in ("smolvla", "pi0", "pi05") for cameras in (3, 1, 2)],
    batches=(1, 2, 4, 8),
    rounds=25,
    arithmetics=("fp32", "fp16", "fp16_mlp"),
    cases=None,
    acts=200,
    steps=10,
    seconds=480.0,
    is_small=False,
)
SMALL: Final = Plan(
    ways=("cpu",),
    copied_bytes=32 << 20,
    product_side=256,
    policies=[("smolvla", 2), ("smolvla", 1), ("pi0", 2), ("pi05", 2)],
    batches=(1, 2),
    rounds=5,
    arithmetics=("fp32",),
    cases=1,
    acts=20,
    steps=2,
    seconds=120.0,
    is_small=True,
)
