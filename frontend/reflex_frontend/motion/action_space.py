"""Between robot units and the normalised space in which a policy continues a chunk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reflex.policy_config import ActionSpaceConfig

__all__ = ["normalized", "reanchored"]

Array = npt.NDArray[np.float32]


def normalized(space: ActionSpaceConfig, actions: Sequence[Sequence[float]], state: Sequence[float]) -> Array:
    """[steps][axes] in robot units, as the policy would have given them for an observation with this state.

    An axis that never moved in training says nothing: it is what it always was.
    """
    scale = np.asarray(space.scale, np.float64)
    anchored = np.asarray(actions, np.float64) - _anchor(space, state)
    moves = scale != 0
    inner = (anchored - np.asarray(space.offset)) / np.where(moves, scale, 1.0)
    chunk: Array = np.where(moves, inner, np.asarray(space.still)).astype(np.float32)
    return chunk


def reanchored(space: ActionSpaceConfig, chunk: Array, old: Sequence[float], new: Sequence[float]) -> Array:
    """The same actions of the robot, relative to the new state instead of the old one; the chunk itself if none is."""
    if not any(space.relative):
        return chunk
    scale = np.asarray(space.scale, np.float64)
    moves = scale != 0
    shift = np.where(moves, (_anchor(space, old) - _anchor(space, new)) / np.where(moves, scale, 1.0), 0.0)
    moved: Array = (chunk + shift).astype(np.float32)
    return moved


def _anchor(space: ActionSpaceConfig, state: Sequence[float]) -> npt.NDArray[np.float64]:
    """[axes]: the state where actions are relative to it, else 0. Axes are the first entries of the state."""
    anchor = np.zeros(len(space.relative))
    if any(space.relative):
        known = np.asarray(state, np.float64)[: len(anchor)]
        anchor[: len(known)] = known
    return np.where(np.asarray(space.relative), anchor, 0.0)
