"""Which arithmetic an export takes, and when what was measured of it is enough.

FP16 is only simulated here, and a GPU has been further off than that. Where a safer arithmetic is left, the fast one
must therefore pass with a margin; of the safest, whose figures held on the GPU, the gate itself is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from reflex_export.checking.parity import Parity
from reflex_export.errors import ParityError
from reflex_export.families.common import Arithmetic

__all__ = ["Choice"]


@dataclass(frozen=True)
class Choice:
    """One arithmetic of an export, on trial."""

    arithmetic: Arithmetic
    is_safest: bool
    """Nothing is left to be tried after it."""
    passed_over: str = ""
    """The faster one and its figure; empty when this was the first."""

    def is_enough(self, parity: Parity) -> bool:
        """Whether it may be published; what was compared with nothing may."""
        return parity.verdict != "failed" and (self.is_safest or not parity.cases or parity.has_margin)

    def require(self, policy_id: str, parity: Parity) -> None:
        """`ParityError` when another arithmetic must be tried, or none is left."""
        if self.is_enough(parity):
            return
        raise ParityError(
            f"{policy_id} differs from {parity.against} by {parity.max_abs:.2e} (cosine {parity.cosine:.7f}) "
            f"in {parity.worst}; the gate is {parity.gate.max_abs:.0e} and {parity.gate.cosine}. "
            f"Nothing was published; {self._remedy()}; --force publishes all the same",
            self.figure_of(parity),
        )

    def record(self, parity: Parity) -> dict[str, float | str]:
        """What reflex_config.json keeps: how far the chosen arithmetic is off, and why no faster one was taken."""
        if not parity.cases:
            return parity.record()
        told: dict[str, float | str] = {**parity.record(), "arithmetic": self.arithmetic}
        if self.arithmetic != "fp32":
            told["margin"] = "kept" if parity.has_margin else "used up"
        return told | ({"passed_over": self.passed_over} if self.passed_over else {})

    def figure_of(self, parity: Parity) -> str:
        """How far it is off beside what it may be."""
        allowed = parity.gate if self.is_safest else parity.gate.with_margin()
        of = "the gate" if self.is_safest else f"half of the gate {parity.gate.max_abs:.1e}"
        return f"{parity.max_abs:.1e} from {parity.against}, at most {allowed.max_abs:.1e} ({of}) is trusted"

    def _remedy(self) -> str:
        if self.arithmetic == "fp32":
            return "look whether --cases are of this checkpoint"
        tried = "attention in FP32 was tried as well" if self.passed_over else "this family has no safer FP16"
        return f"{tried}. Try other --steps, recorded --cases of this checkpoint, or --precision fp32"
