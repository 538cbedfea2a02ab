"""The latency objective of a server as it may be given: `--slo p99=150ms`, and what is done while it is missed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Slo", "SloMode", "parse_slo"]

SloMode = Literal["log", "refuse", "degrade"]

SLO_TEXT: Final = re.compile(r"p(\d{2})(?:\.(\d))?=(\d{1,6}(?:\.\d{1,6})?)(ms|s)", re.ASCII)
LEAST_PERMILLE: Final = 500
LEAST_THRESHOLD_S: Final = 0.001
GREATEST_THRESHOLD_S: Final = 10.0
"""The longest deadline a request may have; none can be slower."""


@dataclass(frozen=True, slots=True)
class Slo:
    """`permille` of the requests are to be answered within `threshold_s`: p99 has 990, p99.9 has 999."""

    permille: int
    threshold_s: float

    @property
    def name(self) -> str:
        """`p99`: the `kind` of the metric."""
        return f"p{self.permille / 10:g}"

    @property
    def text(self) -> str:
        """`p99=150ms`, as it may be given."""
        return f"{self.name}={self.threshold_s * 1000:g}ms"


def parse_slo(text: str) -> Slo:
    """Read `p99=150ms` or `p99.9=0.5s`; `ValueError` says what is wrong."""
    found = SLO_TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError("must look like p99=150ms or p99.9=0.5s")
    permille = 10 * int(found[1]) + int(found[2] or 0)
    threshold_s = float(found[3]) / (1000.0 if found[4] == "ms" else 1.0)
    if permille < LEAST_PERMILLE:
        raise ValueError("the percentile must be from p50 to p99.9")
    if not LEAST_THRESHOLD_S <= threshold_s <= GREATEST_THRESHOLD_S:
        raise ValueError("the threshold must be from 1ms to 10s, the longest deadline of a request")
    return Slo(permille, threshold_s)
