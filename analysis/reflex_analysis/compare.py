"""Slot a against slot b: what the recorded episodes allow to conclude, and what they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reflex.errors import SetupError
from reflex.wording.nouns import counted
from reflex_analysis.episodes import METRICS, EpisodeTable, SlotEpisodes
from reflex_analysis.figures import Floats
from reflex_analysis.welch import Difference, detectable, episodes_needed, holm, welch

__all__ = ["ALPHA", "MIN_EPISODES", "SAME_WEIGHTS", "Comparison", "MetricComparison", "compare", "compare_values"]

ALPHA: Final = 0.05
"""How often the whole comparison may find a difference where there is none."""
MIN_EPISODES: Final = 5
"""In each slot; below, a variance is a guess."""
MAX_SENSIBLE_EPISODES: Final = 100_000
"""Nobody records more to learn how two policies differ; then they do not."""
SAME_WEIGHTS: Final = "both slots serve the same weights: what differs between them is not the policy"


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric, of which less is better. `found` is None with too few episodes.

    `p_corrected` is for all metrics that were asked for (Holm). `better` is the slot that is better beyond doubt, or
    None. `change` is b's mean relative to a's. `more_episodes` per slot would show a difference like this one;
    `detectable` is the difference that these episodes would have shown.
    """

    metric: str
    unit: str
    meaning: str
    found: Difference | None
    p_corrected: float | None = None
    better: str | None = None
    change: float | None = None
    more_episodes: int | None = None
    detectable: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that `reflex compare` prints; `conclusion` is the one sentence.

    `same_weights`: the policies of both slots have one hash, so nothing that differs comes of the policy.
    `reduced_a` and `reduced_b` are requests that count, though a variant with fewer denoising steps had to answer them.
    """

    policy_a: str
    policy_b: str
    episodes_a: int
    episodes_b: int
    metrics: tuple[MetricComparison, ...]
    conclusive: bool
    conclusion: str
    excluded: Mapping[str, int]
    reduced_a: int = 0
    reduced_b: int = 0
    same_weights: bool = False


def compare(table: EpisodeTable, metrics: Sequence[str] = ()) -> Comparison:
    """Compare the slots by `metrics`, or by all; `SetupError` when only one slot has episodes."""
    a, b = _slot(table, "a"), _slot(table, "b")
    compared = compare_values({name: (a.values[name], b.values[name]) for name in metrics or METRICS})
    return Comparison(
        policy_a=a.policy,
        policy_b=b.policy,
        episodes_a=a.episodes,
        episodes_b=b.episodes,
        metrics=compared,
        conclusive=any(metric.better for metric in compared),
        conclusion=_conclusion(a, b, compared),
        excluded=table.excluded,
        reduced_a=a.reduced,
        reduced_b=b.reduced,
        same_weights=a.policy_hash is not None and a.policy_hash == b.policy_hash,
    )


def compare_values(values: Mapping[str, tuple[Floats, Floats]]) -> tuple[MetricComparison, ...]:
    """Compare by metric the episode values of slot a with those of slot b."""
    found = {name: _difference(a, b) for name, (a, b) in values.items()}
    tested = [name for name, difference in found.items() if difference is not None]
    p_values = holm([difference.p_value for difference in found.values() if difference is not None])
    corrected = dict(zip(tested, p_values, strict=True))
    return tuple(_judged(name, found[name], corrected.get(name), ALPHA / max(1, len(tested))) for name in values)


def _slot(table: EpisodeTable, name: str) -> SlotEpisodes:
    slot = table.slots.get(name)
    if slot is None:
        raise SetupError(
            f"the recording has no episodes of slot {name}, so there is nothing to compare; record "
            "`reflex serve --policy-a NAME --policy-b NAME --split 50 --record DIR`, with an episode_id in each request"
        )
    return slot


def _difference(a: Floats, b: Floats) -> Difference | None:
    return welch(a, b) if min(len(a), len(b)) >= MIN_EPISODES else None


def _judged(name: str, found: Difference | None, p_corrected: float | None, alpha: float) -> MetricComparison:
    metric = METRICS[name]
    if found is None or p_corrected is None:
        return MetricComparison(name, metric.unit, metric.meaning, None)
    better = None
    if p_corrected <= ALPHA:
        better = "b" if found.difference < 0 else "a"
    needed = None if better else episodes_needed(found, alpha)
    have = min(found.count_a, found.count_b)
    return MetricComparison(
        metric=name,
        unit=metric.unit,
        meaning=metric.meaning,
        found=found,
        p_corrected=p_corrected,
        better=better,
        change=found.difference / found.mean_a if found.mean_a else None,
        more_episodes=None if needed is None or needed > MAX_SENSIBLE_EPISODES else max(1, needed - have),
        detectable=detectable(found, alpha),
    )


def _conclusion(a: SlotEpisodes, b: SlotEpisodes, metrics: Sequence[MetricComparison]) -> str:
    parts = []
    for slot, other, policy in (("b", "a", b.policy), ("a", "b", a.policy)):
        wins = [_win(metric) for metric in metrics if metric.better == slot]
        if wins:
            parts.append(f"{slot} ({policy}) is better than {other} in {_joined(wins)}")
    open_ones = [metric for metric in metrics if metric.better is None]
    if open_ones:
        rest = f"nothing can be concluded about {_joined([metric.metric for metric in open_ones])}"
        whole = rest if parts else "the data allow no conclusion"
        parts.append(f"{whole} from {counted(a.episodes, 'episode')} of a and {b.episodes} of b{_wanted(open_ones)}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper() if sentence.startswith('the') else sentence[0]}{sentence[1:]}."


def _win(metric: MetricComparison) -> str:
    found = metric.found
    if found is None:
        return metric.metric
    if metric.change is None:
        return (
            f"{metric.metric} ({found.difference:+.2g} {metric.unit}, between {found.low:+.2g} and {found.high:+.2g})"
        )
    low, high = found.low / found.mean_a, found.high / found.mean_a
    return f"{metric.metric} ({metric.change:+.0%}, between {low:+.0%} and {high:+.0%})"


def _wanted(metrics: Sequence[MetricComparison]) -> str:
    """What more episodes would tell, for the metrics without a conclusion."""
    if any(metric.found is None for metric in metrics):
        return f", for that takes at least {MIN_EPISODES} in each slot"
    wanted = [metric for metric in metrics if metric.more_episodes is not None]
    if not wanted:
        return ", where they do not differ"
    needs = _joined([f"about {_rounded(metric.more_episodes or 0)} for {metric.metric}" for metric in wanted])
    return f"; if the differences are as they look, more episodes in each slot would tell: {needs}"


def _rounded(count: int) -> str:
    """Two digits: it is an estimate from an estimate."""
    return f"{count if count < 100 else round(count, 2 - len(str(count))):,}"


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
