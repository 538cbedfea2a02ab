"""Weights with an adapter merged into them: W + scaling * B @ A, computed when a weight is asked for.

DoRA then gives each output the length that it learnt: m * W' / |W'|. Merging is done in float32 and the result is
float32, also where the base model is stored in bfloat16: nothing is rounded away that the training added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import TensorSource
from reflex_export.errors import CheckpointError, TensorShapeError
from reflex_export.reading.mapping import release
from reflex_export.reading.tensors import refuse_integers

__all__ = ["Addition", "MergedTensors", "Origin", "addition_of"]

Array = npt.NDArray[Any]
_PAIRS: Final = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))
_MAGNITUDE: Final = "lora_magnitude_vector"


@dataclass(frozen=True)
class Origin:
    """Where a tensor lies: in which files, and by what name there."""

    source: TensorSource
    name: str

    def shape(self) -> tuple[int, ...]:
        return self.source.shape(self.name)

    def load(self) -> Array:
        stored = self.source.load(self.name)
        refuse_integers(self.name, stored)
        return stored

    def load_wide(self) -> npt.NDArray[np.float32]:
        return self.load().astype(np.float32)


@dataclass(frozen=True)
class Addition:
    """What an adapter adds to one weight; A is [rank, ...], B [..., rank]."""

    a: Origin
    b: Origin
    scaling: float
    magnitude: Origin | None = None
    is_embedding: bool = False

    @property
    def rank(self) -> int:
        return (self.a.shape() or (0,))[0]

    def merged_into(self, weight: Array) -> Array:
        """`weight` is left as it is."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told by name once it has answered
            added = self._product().reshape(weight.shape)
            added *= np.float32(self.scaling)
            added += weight
            if self.magnitude is not None:
                self._stretch(added, self.magnitude.load_wide())
        return added

    def is_nothing(self) -> bool:
        """Whether the weight stays as it is: as before the first step of a training."""
        if self.magnitude is not None:
            return False
        return not self.scaling or not (self.a.load().any() and self.b.load().any())

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether B @ A has the weight's shape."""
        a, b = self.a.shape(), self.b.shape()
        if len(a) < 2 or len(b) < 2 or a[0] != b[1] or a[0] < 1 or any(size != 1 for size in b[2:]):
            return False
        return shape == ((a[1], b[0]) if self.is_embedding else (b[0], *a[1:]))

    def _product(self) -> npt.NDArray[np.float32]:
        a, b = self.a.load_wide(), self.b.load_wide()
        if self.is_embedding:
            return a.T @ b.T
        return b.reshape(b.shape[0], -1) @ a.reshape(a.shape[0], -1)

    def _stretch(self, weight: Array, lengths: npt.NDArray[np.float32]) -> None:
        """Along the outputs: the first axis, an embedding's last. The sums are float64, as a float32 one drifts."""
        by_output = weight.T if self.is_embedding else weight.reshape(weight.shape[0], -1)
        squares = np.einsum("oi,oi->o", by_output, by_output, dtype=np.float64)
        by_output *= (lengths.reshape(-1) / np.sqrt(squares).astype(np.float32))[:, None]


def addition_of(module: str, parts: Mapping[str, str], source: TensorSource, origin: str) -> Addition:
    """A module's, with a scaling of 1; `CheckpointError` for half of one."""
    for first, second in _PAIRS:
        if first in parts and second in parts:
            magnitude = Origin(source, parts[_MAGNITUDE]) if _MAGNITUDE in parts else None
            a, b = Origin(source, parts[first]), Origin(source, parts[second])
            return Addition(a, b, 1.0, magnitude, is_embedding=first != "lora_A")
    raise CheckpointError(f"{origin} has only {', '.join(sorted(parts))} of {module}; it is incomplete: fetch it again")


@dataclass(frozen=True)
class MergedTensors:
    """A `TensorSource`: the base model's tensors, some of them replaced, some of them added to."""

    base: TensorSource
    origins: Mapping[str, Origin]
    """Every tensor by the policy's name."""
    weights: Mapping[str, Addition]
    biases: Mapping[str, tuple[Origin, float]]
    """What is added to a bias, and how often."""

    def names(self) -> frozenset[str]:
        return frozenset(self.origins)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._origin(name).shape()

    def load(self, name: str) -> Array:
        """Float32 where something was added, else as it is stored."""
        stored = self._origin(name).load()
        if name in self.weights:
            merged = self.weights[name].merged_into(stored)
            release(stored)
            return merged
        if name in self.biases:
            origin, scaling = self.biases[name]
            return stored.astype(np.float32) + np.float32(scaling) * origin.load_wide()
        return stored

    def are_the_base(self) -> bool:
        """Whether nothing that the adapter brings makes any difference."""
        is_other = any(origin.source is not self.base for origin in self.origins.values())
        return not is_other and not self.biases and all(one.is_nothing() for one in self.weights.values())

    def check_shapes(self) -> None:
        """Before anything is computed: what is added has the shape of what it is added to."""
        for name, addition in self.weights.items():
            self._require(name, fits=addition.fits(self.shape(name)))
        for name, (bias, _) in self.biases.items():
            self._require(name, fits=bias.shape() == self.shape(name))

    def _require(self, name: str, *, fits: bool) -> None:
        if not fits:
            raise TensorShapeError(
                f"the adapter's tensors do not fit {name}, which has the shape {list(self.shape(name))}: it was "
                "trained on another base model; give the right one as --base"
            )

    def _origin(self, name: str) -> Origin:
        return self.origins.get(name) or Origin(self.base, name)
