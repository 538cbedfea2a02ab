"""A policy whose answers are easy or hard as wanted, for trials of adaptive steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor
from support.motion.continuing import PlanningTriton

__all__ = ["EASY", "HARD", "BendingTriton", "Bends"]

EASY: Final = 0.01
HARD: Final = 100.0


@dataclass
class Bends:
    now: float | None = EASY


@dataclass
class BendingTriton(PlanningTriton):
    """Reports a way that is bent by `bends.now`; None reports nothing."""

    steps: int = 10
    bends: Bends = field(default_factory=Bends)

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        outputs = dict(await super().infer(inputs, metadata))
        bend = self.bends.now
        if bend is None:
            return outputs
        change = np.full((1, self.steps), bend / self.steps, np.float32)
        change[0, 0] = 0.0
        return outputs | {"velocity_change": change}
