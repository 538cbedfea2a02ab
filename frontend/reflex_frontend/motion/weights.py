"""How firmly a new chunk is held to the one before: a weight for each of its steps, from 1 to 0.

The steps that will be executed before the answer arrives are held as they were planned. From there to the end of the
execution horizon the weights fall by the schedule; beyond it nothing is held. As LeRobot v0.6.1 computes them.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_frontend.settings import RtcSchedule

__all__ = ["given_weights", "guidance_weights"]

Weights = npt.NDArray[np.float32]
KEPT: Final = 1_024
"""Robots ask for the same few again and again, and making one takes longer than all else here."""


@functools.lru_cache(maxsize=KEPT)
def guidance_weights(schedule: RtcSchedule, horizon: int, delay_steps: int, execution_steps: int) -> Weights:
    """[horizon], read-only, of a policy that is guided: 1 up to the delay, then by `schedule` to `execution_steps`."""
    end = min(execution_steps, horizon)
    firm = min(delay_steps, end)
    weights = np.zeros(horizon, np.float32)
    weights[:firm] = 1.0
    weights[firm:end] = _between(schedule, end - firm)
    weights.setflags(write=False)
    return weights


@functools.lru_cache(maxsize=KEPT)
def given_weights(horizon: int, given_steps: int) -> Weights:
    """[horizon], read-only, of a policy that was trained for it: 1 for each step that is given, 0 for the others."""
    weights = np.zeros(horizon, np.float32)
    weights[:given_steps] = 1.0
    weights.setflags(write=False)
    return weights


def _between(schedule: RtcSchedule, steps: int) -> Weights:
    match schedule:
        case "ones":
            return np.ones(steps, np.float32)
        case "zeros":
            return np.zeros(steps, np.float32)
        case "linear":
            return _falling(steps)
        case "exp":
            line = _falling(steps)
            curve: Weights = line * (_expm1(line) / np.float32(math.e - 1.0))
            return curve


def _expm1(line: Weights) -> Weights:
    """Rounded once, for what numpy's own of float32 gives depends on the machine."""
    values: Weights = np.expm1(line.astype(np.float64)).astype(np.float32)
    return values


def _falling(steps: int) -> Weights:
    """Evenly from below 1 to above 0, both of which belong to the neighbours."""
    line: Weights = np.linspace(1.0, 0.0, steps + 2)[1:-1].astype(np.float32)
    return line
