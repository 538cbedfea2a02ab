"""How near an FP16 chunk must come to what was recorded; the product's own gate is held against the documents."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from reflex.numerics import cosine, max_abs

__all__ = ["FP16_COSINE", "FP16_MAX_ABS", "assert_meets_fp16_gate"]

FP16_COSINE, FP16_MAX_ABS = 0.99999, 5e-3


def assert_meets_fp16_gate(found: npt.NDArray[Any], recorded: npt.NDArray[Any]) -> None:
    """Two normalised chunks, by their angle and by their largest difference."""
    angle, difference = cosine(found, recorded), max_abs(found, recorded)
    assert angle >= FP16_COSINE, f"cosine {angle:.7f}, not {FP16_COSINE}"
    assert difference <= FP16_MAX_ABS, f"max-abs {difference:.2e}, not {FP16_MAX_ABS:.0e}"
