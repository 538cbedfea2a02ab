"""The canary of a policy: an observation with the answer that whoever serves the policy must get again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from reflex.policy_config import PolicyConfig
from reflex_export.checking.observations import typical_inputs
from reflex_export.checking.rounding import Runner
from reflex_export.checkpoint import Checkpoint, TensorSource
from reflex_export.errors import ParityError
from reflex_export.families.common import Precision
from reflex_export.graph.graph import Array

__all__ = ["canary_of", "canary_tolerance"]

SHARE: Final = 1e-3
"""Of the largest expected action: what another build of the runtime may differ by; FP16 twenty times more."""
NO_ANSWER: Final = "no finite answer"


def canary_of(runner: Runner, config: PolicyConfig, checkpoint: Checkpoint) -> Mapping[str, Array]:
    """A generated observation and the answer of the very models that are published; no batch axis."""
    inputs = typical_inputs(config.inputs, checkpoint)
    actions = runner.run(inputs)["actions"][0]
    if not np.isfinite(actions).all():
        raise _no_answer(config, checkpoint)
    return {name: tensor[0] for name, tensor in inputs.items()} | {"expected.actions": actions}


def _no_answer(config: PolicyConfig, checkpoint: Checkpoint) -> ParityError:
    what = f"{config.policy_id} answers a typical observation with what is no number"
    name = _first_not_finite(checkpoint.tensors)
    if name is not None:
        return ParityError(f"{what}, since {name} in its weights is not finite; fetch or train them again", NO_ANSWER)
    if config.precision != "fp32":
        return ParityError(f"{what}; its weights are finite, so try --precision fp32", NO_ANSWER)
    return ParityError(f"{what}, although its weights are finite: they are too large to compute with; train them again")


def _first_not_finite(tensors: TensorSource) -> str | None:
    """Read one after the other, since all of them may be more than the memory holds."""
    return next((name for name in sorted(tensors.names()) if not np.isfinite(tensors.load(name)).all()), None)


def canary_tolerance(actions: Array, precision: Precision) -> float:
    """The greatest difference in robot units at which an answer still counts as the same."""
    scale = max(1e-3, float(np.abs(actions).max()))
    return scale * SHARE * (20 if precision == "fp16" else 1)
