"""Does the exported policy compute what the trained one did?

Against recorded cases where there are some; an FP16 policy without any against its own FP32 graphs, on generated
observations. The gates: FP32 max-abs 1e-4; FP16 cosine 0.99999 and max-abs 5e-3, on the normalised chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from reflex.policy_config import PolicyConfig, TensorConfig
from reflex_export.families.common import Precision
from reflex_export.graph import Array

__all__ = ["GATES", "Gate", "Parity", "PolicyRunner", "generated_inputs"]


@dataclass(frozen=True)
class Gate:
    """What a normalised chunk must reach."""

    cosine: float
    max_abs: float


GATES: Final[Mapping[Precision, Gate]] = {"fp32": Gate(0.99999, 1e-4), "fp16": Gate(0.99999, 5e-3)}


@dataclass
class Parity:
    """The comparison so far: the worst of every case."""

    gate: Gate
    against: str
    cosine: float = 1.0
    max_abs: float = 0.0
    worst: str = ""
    cases: int = 0
    skipped: list[str] = field(default_factory=list)

    def compare(self, name: str, found: Array, expected: Array) -> None:
        """Count one normalised chunk."""
        a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
        difference = float(np.abs(a - b).max())
        norms = float(np.linalg.norm(a) * np.linalg.norm(b))
        cosine = float(a @ b) / norms if norms else 1.0
        self.cases += 1
        # A NaN compares false with everything: it must be the worst there is.
        if not difference <= self.max_abs:
            self.max_abs, self.worst = difference, name
        self.cosine = cosine if not cosine >= self.cosine else self.cosine

    @property
    def verdict(self) -> str:
        if not self.cases:
            return "not checked"
        passed = self.cosine >= self.gate.cosine and self.max_abs <= self.gate.max_abs
        return "passed" if passed else "failed"

    def record(self) -> dict[str, float | str]:
        """What reflex_config.json keeps."""
        if not self.cases:
            return {"verdict": self.verdict}
        return {
            "verdict": self.verdict,
            "against": self.against,
            "cases": float(self.cases),
            "cosine": self.cosine,
            "max_abs": self.max_abs,
            "worst": self.worst,
            "gate_cosine": self.gate.cosine,
            "gate_max_abs": self.gate.max_abs,
        }


class PolicyRunner:
    """A policy's models in a folder, one after the other in ONNX Runtime on the CPU, as the ensemble runs them."""

    def __init__(self, models: Iterable[Path]) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self._sessions = [onnxruntime.InferenceSession(str(path), options, providers=providers) for path in models]

    @classmethod
    def of(cls, repository: Path, config: PolicyConfig) -> PolicyRunner:
        """The policy as it lies in a model repository."""
        roles = ("preprocess", "encoder", "denoise")
        return cls(repository / config.component(role) / "1" / "model.onnx" for role in roles)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors in and out by name, each with its batch axis."""
        known = dict(inputs)
        for session in self._sessions:
            feeds = {value.name: known[value.name] for value in session.get_inputs()}
            names = [value.name for value in session.get_outputs()]
            known.update(zip(names, session.run(names, feeds), strict=True))
        return known


def generated_inputs(
    wanted: Sequence[TensorConfig],
    *,
    state: Array,
    vocabulary: int,
    image_sizes: Mapping[str, tuple[int, int]],
    seed: int = 0,
) -> dict[str, Array]:
    """An observation like those of training: smooth pictures, a state near the mean, a short instruction.

    `image_sizes` are height and width by camera. Tensors have a batch axis of one.
    """
    random = np.random.RandomState(seed)
    inputs: dict[str, Array] = {}
    for tensor in wanted:
        if tensor.name.startswith("image."):
            array = _picture(random, *image_sizes[tensor.name.removeprefix("image.")])
            array = np.broadcast_to(array, (*tensor.shape[:-3], *array.shape)).copy()
        else:
            array = _generated(tensor, random, state, vocabulary)
        inputs[tensor.name] = array[None]
    return inputs


def _picture(random: np.random.RandomState, height: int, width: int) -> Array:
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(5 * x + k + random.rand()) * np.cos(4 * y + random.rand()) * 100 + 128 for k in range(3)]
    picture: Array = np.stack(waves, axis=2).clip(0, 255).astype(np.uint8)
    return picture


def _generated(tensor: TensorConfig, random: np.random.RandomState, state: Array, vocabulary: int) -> Array:
    match tensor.name:
        case "camera_mask":
            return np.ones(tensor.shape, np.bool_)
        case "state":
            return np.broadcast_to(state, tensor.shape).astype(np.float32)
        case "tokens":
            return random.randint(1, max(2, vocabulary), tensor.shape).astype(np.int64)
        case "token_mask":
            return np.arange(tensor.shape[0]) < min(8, tensor.shape[0])
        case "noise" | "step_noise":
            return random.standard_normal(tensor.shape).astype(np.float32)
        case _:
            return np.zeros(tensor.shape, np.float32)
