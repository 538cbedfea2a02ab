"""Where two runs of one policy part: the first tensor, in the order of the computation, that is beyond its bound.

preprocess  pixels.<camera>
encoder     image embeddings, the prefix's mask, keys and values layer by layer, other outputs
denoise     v_t and x of each step where both runs have taps, then the chunk, normalised and in robot units
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np

from reflex.numerics import max_abs
from reflex_export.checking.parity import gate_of
from reflex_export.errors import CheckpointError
from reflex_export.graph.graph import Array

__all__ = ["FirstDifference", "first_difference"]

StageName = Literal["preprocess", "encoder", "denoise"]
PIXEL_BOUND: Final = 1e-5
"""The preprocess computes in FP32 whatever the precision."""
SHARES: Final[Mapping[str, float]] = {"fp32": 1e-4, "fp16": 1e-2}
"""Of a tensor's largest value, or of 1 where that is less. In FP16 the recorded checkpoints differ by up to 4e-3."""
STEP_TAPS: Final = ("v_t", "v_t_guided", "x_after_step")


@dataclass(frozen=True)
class FirstDifference:
    """The tensor that was the first to differ by more than its bound."""

    stage: StageName
    tensor: str
    layer: int | None
    """Of the prefix's cache."""
    step: int | None
    """Of the denoising, from 0."""
    max_abs: float | None
    """None when it is not a number."""
    bound: float
    observation: str
    order: int
    """Its place in the order of the computation."""

    def record(self) -> dict[str, object]:
        """For programs."""
        return {name: value for name, value in asdict(self).items() if name != "order"}

    def __str__(self) -> str:
        where = f"{self.stage}, {self.tensor}"
        where += "" if self.layer is None else f" of layer {self.layer}"
        where += "" if self.step is None else f" of step {self.step}"
        size = "not a number" if self.max_abs is None else f"{self.max_abs:.2e}"
        return f"{where}: {size}, bound {self.bound:.0e} ({self.observation})"


@dataclass(frozen=True)
class _Pair:
    """One tensor of both runs."""

    stage: StageName
    tensor: str
    found: Array
    expected: Array
    layer: int | None = None
    step: int | None = None


def first_difference(
    found: Mapping[str, Array], expected: Mapping[str, Array], precision: str, observation: str = ""
) -> FirstDifference | None:
    """Compare what both runs have by name; None when all of it is within bounds.

    `CheckpointError` when a tensor has another shape: then they are not the same policy.
    """
    for order, pair in enumerate(_pairs(found, expected)):
        bound = _bound(pair, precision)
        largest = max_abs(pair.found, pair.expected)
        if not largest <= bound:
            size = largest if np.isfinite(largest) else None
            return FirstDifference(pair.stage, pair.tensor, pair.layer, pair.step, size, bound, observation, order)
    return None


def _pairs(found: Mapping[str, Array], expected: Mapping[str, Array]) -> Iterator[_Pair]:
    both = {name: (found[name], expected[name]) for name in expected if name in found}
    for name, (a, b) in both.items():
        if a.shape != b.shape:
            raise CheckpointError(
                f"{name} has the shape {a.shape} in the policy and {b.shape} from this checkpoint; "
                "pass the checkpoint that it was exported from to --source"
            )
    yield from (_Pair("preprocess", name, *pair) for name, pair in both.items() if name.startswith("pixels."))
    yield from _encoder_pairs(both)
    yield from _denoise_pairs(both)


def _encoder_pairs(both: Mapping[str, tuple[Array, Array]]) -> Iterator[_Pair]:
    inner = [name for name in both if name.startswith("tap.") and name.removeprefix("tap.") not in {*STEP_TAPS, "x_t"}]
    for name in inner:
        yield _Pair("encoder", name.removeprefix("tap."), *both[name])
    if "prefix_mask" in both:
        yield _Pair("encoder", "prefix_mask", *both["prefix_mask"])
    if "prefix_keys" in both:
        yield from _cache_pairs(both)
    for name in ("state_token", "global_cond"):
        if name in both:
            yield _Pair("encoder", name, *both[name])


def _cache_pairs(both: Mapping[str, tuple[Array, Array]]) -> Iterator[_Pair]:
    """[1, layers, heads, tokens, dim]; what stands at masked tokens is never read."""
    tokens = both["prefix_keys"][1].shape[3]
    valid = both["prefix_mask"][1][0] if "prefix_mask" in both else np.ones(tokens, np.bool_)
    for layer in range(both["prefix_keys"][1].shape[1]):
        for name in ("prefix_keys", "prefix_values"):
            found, expected = (array[:, layer, :, valid] for array in both[name])
            yield _Pair("encoder", name, found, expected, layer=layer)


def _denoise_pairs(both: Mapping[str, tuple[Array, Array]]) -> Iterator[_Pair]:
    taps = [name for name in STEP_TAPS if f"tap.{name}" in both]
    steps = both[f"tap.{taps[0]}"][1].shape[1] if taps else 0
    for step in range(steps):
        for name in taps:
            found, expected = (array[:, step] for array in both[f"tap.{name}"])
            yield _Pair("denoise", name, found, expected, step=step)
    for name in ("actions_normalized", "actions"):
        if name in both:
            yield _Pair("denoise", name, *both[name])


def _bound(pair: _Pair, precision: str) -> float:
    if pair.stage == "preprocess":
        return PIXEL_BOUND
    if pair.tensor == "actions_normalized":
        return gate_of(precision).max_abs
    share = SHARES["fp32" if precision == "fp32" else "fp16"]
    return share * max(1.0, float(np.abs(pair.expected.astype(np.float64)).max(initial=0.0)))
