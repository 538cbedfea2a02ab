"""Does the exported policy compute what the trained one did?

Against recorded cases where there are some; an FP16 policy without any against its own FP32 graphs, on generated
observations. The gates: FP32 max-abs 1e-4; FP16 cosine 0.99999 and max-abs 5e-3, on the normalised chunk. A CPU only
simulates FP16: what it finds has a margin where an error of twice the size would still pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex.errors import RepositoryError
from reflex.model_repository import model_file
from reflex.numerics import cosine, max_abs
from reflex.policy_config import COMPONENT_ROLES, PolicyConfig, TensorConfig
from reflex_export.checking.serving_device import PROCESSOR, ServingDevice
from reflex_export.errors import DeviceError
from reflex_export.families.common import Precision
from reflex_export.graph.graph import Array

__all__ = ["GATES", "MARGIN", "Gate", "Parity", "PolicyRunner", "gate_of", "told_number"]

REFUSALS: Final = (
    *(ort.EPFail, ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf),
    *(ort.NoSuchFile, ort.NotImplemented, ort.RuntimeException),
)
"""Of ONNX Runtime: a GPU's memory that is full, or an operator that it lacks, comes as one or another."""
MARGIN: Final = 2.0
"""How much larger an error of FP16 may be on a GPU than simulated on a CPU; 1.6 times was seen (docs/adr/0028)."""


@dataclass(frozen=True)
class Gate:
    """What a normalised chunk must reach."""

    cosine: float
    max_abs: float

    def with_margin(self, factor: float = MARGIN) -> Gate:
        """What an error must reach that may grow by `factor`: a small angle's cosine falls by its square."""
        return Gate(1 - (1 - self.cosine) / factor**2, self.max_abs / factor)

    def is_met(self, cosine: float, max_abs: float) -> bool:
        return cosine >= self.cosine and max_abs <= self.max_abs


GATES: Final[Mapping[Precision, Gate]] = {"fp32": Gate(0.99999, 1e-4), "fp16": Gate(0.99999, 5e-3)}

DATATYPES: Final = {
    "tensor(float)": "FP32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(bool)": "BOOL",
}
NUMPY: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
"""Of what one model of a policy gives to the next, too."""


def gate_of(precision: str) -> Gate:
    """Everything but FP32 has the gate of FP16."""
    return GATES["fp32" if precision == "fp32" else "fp16"]


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
    """Recorded cases of another step count."""
    each: dict[str, float] = field(default_factory=dict)
    """The largest difference of each case."""

    def compare(self, name: str, found: Array, expected: Array) -> None:
        """Count one normalised chunk."""
        with np.errstate(invalid="ignore"):  # of infinities, which come out as NaN and fail
            difference = max_abs(found.ravel(), expected.ravel())
            angle = cosine(found, expected)
        self.cases += 1
        self.each[name] = difference
        if not self.worst or _is_beyond(difference, self.max_abs):
            self.max_abs, self.worst = difference, name
        if _is_beyond(-angle, -self.cosine):
            self.cosine = angle

    @property
    def verdict(self) -> str:
        if not self.cases:
            return "not checked"
        return "passed" if self.gate.is_met(self.cosine, self.max_abs) else "failed"

    @property
    def has_margin(self) -> bool:
        """Whether an error of twice the size would pass as well."""
        return bool(self.cases) and self.gate.with_margin().is_met(self.cosine, self.max_abs)

    @property
    def badness(self) -> tuple[bool, bool, float]:
        """By which the worse of two comparisons is found: a smaller difference may be at a worse angle."""
        return self.verdict == "failed", not self.has_margin, self.max_abs

    def record(self) -> dict[str, float | str]:
        """What reflex_config.json keeps."""
        left_out = {"left_out": float(len(self.skipped))} if self.skipped else {}
        if not self.cases:
            return {"verdict": self.verdict, **left_out}
        return {
            "verdict": self.verdict,
            **left_out,
            "against": self.against,
            "cases": float(self.cases),
            "cosine": told_number(self.cosine),
            "max_abs": told_number(self.max_abs),
            "worst": self.worst,
            "gate_cosine": self.gate.cosine,
            "gate_max_abs": self.gate.max_abs,
        }


class PolicyRunner:
    """A policy's models in a folder, one after the other in ONNX Runtime, as the ensemble runs them."""

    def __init__(self, models: Iterable[Path], device: ServingDevice = PROCESSOR) -> None:
        """`RepositoryError` names a model that cannot be loaded, `DeviceError` a device that cannot run it."""
        self._device = device
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Three sessions whose threads wait busily for the next operator take each other's cores: twice the CPU.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions = [(path, _session(path, options, device)) for path in models]

    @classmethod
    def of(cls, repository: Path, config: PolicyConfig) -> PolicyRunner:
        """The policy as it lies in a model repository."""
        return cls(model_file(repository, config.component(role)) for role in COMPONENT_ROLES)

    def inputs(self) -> tuple[TensorConfig, ...]:
        """What a request must bring, as the models themselves say it; a size that they leave open is -1."""
        known: set[str] = set()
        wanted: dict[str, TensorConfig] = {}
        for _, session in self._sessions:
            wanted |= {value.name: _tensor(value) for value in session.get_inputs() if value.name not in known}
            known.update(value.name for value in session.get_outputs())
        return tuple(wanted.values())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors in and out by name, each with its batch axis; `RepositoryError` names a model that fails."""
        known = dict(inputs)
        for path, session in self._sessions:
            known |= self._answers(path, session, {value.name: known[value.name] for value in session.get_inputs()})
        return known

    def warm_up(self, batch_sizes: Iterable[int]) -> None:
        """Run the last model on zeros, as a server does before it is ready; errors are those of `run`."""
        path, session = self._sessions[-1]
        for size in batch_sizes:
            self._answers(path, session, {value.name: _zeros(value, size) for value in session.get_inputs()})

    def _answers(
        self, path: Path, session: onnxruntime.InferenceSession, feeds: Mapping[str, Array]
    ) -> dict[str, Array]:
        names = [value.name for value in session.get_outputs()]
        try:
            return dict(zip(names, session.run(names, dict(feeds)), strict=True))
        except REFUSALS as exc:
            raise _failure(path, "fails on a request", exc, self._device) from exc


def _failure(path: Path, what: str, exc: Exception, device: ServingDevice) -> RepositoryError | DeviceError:
    reason = next(iter(str(exc).splitlines()), type(exc).__name__)
    if device.is_processor:
        return RepositoryError(f"{path} {what} ({reason}); export the policy again")
    return DeviceError(
        f"{path} {what} on {device.name} ({reason}); see by `nvidia-smi` whether its memory is free, or verify on the "
        "CPU by --device cpu"
    )


def _tensor(value: onnxruntime.NodeArg) -> TensorConfig:
    sizes = tuple(size if isinstance(size, int) else -1 for size in value.shape[1:])
    return TensorConfig(name=value.name, datatype=DATATYPES.get(value.type, value.type), shape=sizes)


def _zeros(value: onnxruntime.NodeArg, batch_size: int) -> Array:
    """A size that the model leaves open is 1."""
    sizes = [size if isinstance(size, int) else 1 for size in value.shape[1:]]
    return np.zeros([batch_size, *sizes], NUMPY[value.type])


def told_number(value: float) -> float | str:
    """JSON has no number for what is not finite: the word, which `float` reads back."""
    return value if math.isfinite(value) else str(value)


def _is_beyond(value: float, worst: float) -> bool:
    """Whether it is worse than the worst so far. A NaN is the worst there is, and no later case makes up for it."""
    return not math.isnan(worst) and not value <= worst


def _session(path: Path, options: onnxruntime.SessionOptions, device: ServingDevice) -> onnxruntime.InferenceSession:
    try:
        # Its own fallback would compute on the CPU, and print that where JSON is expected.
        session = onnxruntime.InferenceSession(str(path), options, providers=list(device.providers), enable_fallback=0)
    except REFUSALS as exc:
        raise _failure(path, "cannot be loaded", exc, device) from exc
    device.require(session)
    return session
