"""Which ways of running work on this machine, and why the others do not."""

from __future__ import annotations

from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.rows import Emit, LeftOut, Row
from reflex_bench.gpu_check.ways import WayError, try_way

__all__ = ["measure_ways"]


def measure_ways(plan: Plan, emit: Emit) -> None:
    """A row for each that works."""
    for way in plan.ways:
        try:
            try_way(way)
        except WayError as exc:
            emit(LeftOut(str(exc)))
        else:
            emit(Row(f"{way} works", 1.0, "", keys={"works": way}))
