"""The canary of a policy: an observation with the answer that whoever serves the policy must get again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from reflex.policy_config import PolicyConfig
from reflex_export.checking.observations import typical_inputs
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import ParityError
from reflex_export.families.common import Precision
from reflex_export.graph.graph import Array

__all__ = ["canary_of", "canary_tolerance"]

SHARE: Final = 1e-3
"""Of the largest expected action: what another build of the runtime may differ by; FP16 twenty times more."""


def canary_of(runner: PolicyRunner, config: PolicyConfig, checkpoint: Checkpoint) -> Mapping[str, Array]:
    """A generated observation and the answer of the very models that are published; no batch axis."""
    inputs = typical_inputs(config.inputs, checkpoint)
    actions = runner.run(inputs)["actions"][0]
    if not np.isfinite(actions).all():
        raise ParityError(f"{config.policy_id} answers NaN to a typical observation; try --precision fp32")
    return {name: tensor[0] for name, tensor in inputs.items()} | {"expected.actions": actions}


def canary_tolerance(actions: Array, precision: Precision) -> float:
    """The greatest difference in robot units at which an answer still counts as the same."""
    scale = max(1e-3, float(np.abs(actions).max()))
    return scale * SHARE * (20 if precision == "fp16" else 1)
