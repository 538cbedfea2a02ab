"""The states of a training run."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["ENDED", "RUN_STATES", "WORKED_ON", "DatasetState", "RunState"]

RunState = Literal["queued", "provisioning", "running", "succeeded", "failed", "cancelled"]
RUN_STATES: Final[tuple[RunState, ...]] = get_args(RunState)
WORKED_ON: Final[frozenset[RunState]] = frozenset({"provisioning", "running"})
"""A worker has the run: it makes its environment ready, or trains."""
ENDED: Final[frozenset[RunState]] = frozenset({"succeeded", "failed", "cancelled"})
"""A run in one of these never leaves it."""

DatasetState = Literal["registered", "validating", "valid", "invalid"]
"""Of a dataset in the control plane: only on a valid one is anything trained."""
