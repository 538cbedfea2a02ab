"""How far two arrays are apart, in float64 whatever they are in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cosine", "max_abs"]


def max_abs(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """The largest absolute difference of two arrays of one shape; 0 for empty ones, NaN where there is a NaN."""
    if one.shape != other.shape:
        raise ValueError(f"arrays of shapes {one.shape} and {other.shape} have no difference")
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


def cosine(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Of the angle between two arrays taken as vectors; 1 for two of zeros, 0 where only one is."""
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if 0.0 in norms:
        return 1.0 if norms[0] == norms[1] else float(a @ b)
    return float(a @ b) / (norms[0] * norms[1])
