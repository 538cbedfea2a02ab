"""`Comparison`: two evaluations of the same seeds, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reflex_runner.evaluation.intervals import Interval, Pairs, exact_p_value, paired_difference
from reflex_runner.evaluation.outcomes import EpisodeOutcome, Evaluation

__all__ = ["Comparison"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of the second to the first. Seeds that only one of them played are left out."""

    first: Evaluation
    second: Evaluation

    @property
    def pairs(self) -> Pairs:
        """How many seeds both won, one of them, and neither."""
        won = [(one.success, other.success) for one, other in self._paired()]
        return Pairs(
            won.count((True, True)), won.count((True, False)), won.count((False, True)), won.count((False, False))
        )

    @property
    def first_only(self) -> tuple[int, ...]:
        """The seeds that the first alone won."""
        return tuple(one.seed for one, other in self._paired() if one.success and not other.success)

    @property
    def second_only(self) -> tuple[int, ...]:
        """The seeds that the second alone won."""
        return tuple(one.seed for one, other in self._paired() if other.success and not one.success)

    @property
    def difference(self) -> float:
        """The second's success rate less the first's, on the seeds of both."""
        pairs = self.pairs
        return (pairs.second_only - pairs.first_only) / pairs.total if pairs.total else 0.0

    @property
    def interval(self) -> Interval:
        """Newcombe's, of 95 %, of the difference."""
        return paired_difference(self.pairs)

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test."""
        return exact_p_value(self.pairs)

    @property
    def identical(self) -> int:
        """The seeds on which both commanded the same, to the bit."""
        return sum(one.fingerprint == other.fingerprint for one, other in self._paired())

    def as_json(self) -> dict[str, Any]:
        """For JSON; the first one stands elsewhere."""
        pairs = self.pairs
        return {
            "pairs": pairs.total, "both": pairs.both, "firstOnly": list(self.first_only),
            "secondOnly": list(self.second_only), "neither": pairs.neither, "identical": self.identical,
            "difference": round(self.difference, 6), "interval": [round(each, 6) for each in self.interval],
            "pValue": round(self.p_value, 6), "second": self.second.as_json(),
        }  # fmt: skip

    def _paired(self) -> list[tuple[EpisodeOutcome, EpisodeOutcome]]:
        other = {each.seed: each for each in self.second.episodes}
        return [(each, other[each.seed]) for each in self.first.episodes if each.seed in other]
