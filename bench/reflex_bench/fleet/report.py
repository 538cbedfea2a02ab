"""What `make bench-fleet` found, as a table and against its targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from reflex_bench.fleet.robots import KEPT_SHARE, Score

__all__ = ["MORE_ROBOTS", "SLOWER_ALONE", "Report", "Served", "table"]

MORE_ROBOTS: Final = 1.5
SLOWER_ALONE: Final = 1.03


@dataclass(slots=True)
class Served:
    """One way: the largest fleet, what it asks for, and every fleet that was tried."""

    robots: int
    asks_per_s: float
    trials: dict[int, Score]


@dataclass(slots=True)
class Report:
    """The product's way stands first in both."""

    policy: str
    form: str
    """As what Triton has it, in words."""
    lone_p50_ms: dict[str, float] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def times_the_robots(self) -> float | None:
        """None where that was not measured."""
        if len(self.served) < 2:
            return None
        ours, other = (served.robots for served in self.served.values())
        return ours / max(1, other)

    @property
    def lone_ratio(self) -> float | None:
        if len(self.lone_p50_ms) < 2:
            return None
        ours, other = self.lone_p50_ms.values()
        return ours / other

    def missed(self) -> list[str]:
        """The targets that were missed, in words."""
        misses = [] if self.is_whole else ["it was interrupted"]
        mixed_up = sum(score.mixed_up for served in self.served.values() for score in served.trials.values())
        if mixed_up:
            misses.append(f"{mixed_up} robots were given another robot's chunk, target 0")
        if self.times_the_robots is not None and self.times_the_robots < MORE_ROBOTS:
            misses.append(f"{self.times_the_robots:.2f} times the robots, target {MORE_ROBOTS}")
        if self.lone_ratio is not None and self.lone_ratio > SLOWER_ALONE:
            misses.append(f"a lone robot waits {self.lone_ratio:.3f} times as long, target {SLOWER_ALONE}")
        return misses


def table(report: Report) -> str:
    """For people."""
    lines = [f"{report.policy}, as {report.form}: robots with {KEPT_SHARE:.0%} of their deadlines kept", ""]
    lines.append(f"{'':<36}{'robots':>8}{'chunks/s':>10}{'alone, p50':>13}")
    for name in report.served | dict.fromkeys(report.lone_p50_ms):
        served, alone_ms = report.served.get(name), report.lone_p50_ms.get(name)
        robots, asks = ("-", "-") if served is None else (str(served.robots), f"{served.asks_per_s:.1f}")
        lines.append(f"{name:<36}{robots:>8}{asks:>10}{'-' if alone_ms is None else f'{alone_ms:.1f} ms':>13}")
    ratios = (report.times_the_robots, report.lone_ratio)
    shown = ["-" if ratio is None else f"{ratio:.3f}" for ratio in ratios]
    lines.append(f"{'ratio':<36}{shown[0]:>8}{'':>10}{shown[1]:>13}")
    lines.append(f"{'target':<36}{f'>= {MORE_ROBOTS}':>8}{'':>10}{f'<= {SLOWER_ALONE}':>13}")
    return "\n".join([*lines, *(f"MISSED: {miss}" for miss in report.missed())])
