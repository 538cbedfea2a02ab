"""Summaries and comparisons of recordings as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reflex.cli.plot import sparkline
from reflex.errors import SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex.traces.lines import Losses
    from reflex_analysis.compare import Comparison, MetricComparison
    from reflex_analysis.figures import LatencySummary, ShadowSummary, SlotSummary, Summary

__all__ = ["comparison_lines", "holds_nothing", "loss_lines", "summary_lines"]


def summary_lines(summary: Summary) -> Iterator[str]:
    """The whole summary, a block for each slot and each shadow policy."""
    if summary.first_at is None or summary.last_at is None:
        yield "no requests"
        return
    yield (
        f"{_time(summary.first_at)} to {_time(summary.last_at)} UTC: {counted(summary.requests, 'request')}, "
        + counted(summary.episodes, "episode")
    )
    for slot in summary.slots:
        yield ""
        yield from _slot_lines(slot, summary.latency_edges_ms)
    for shadow in summary.shadows:
        yield ""
        yield from _shadow_lines(shadow)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """A table with a line for each metric, and the conclusion."""
    from reflex_analysis.compare import SAME_WEIGHTS

    yield _compared("a", comparison.policy_a, comparison.episodes_a, comparison.reduced_a)
    yield _compared("b", comparison.policy_b, comparison.episodes_b, comparison.reduced_b)
    yield ""
    heads = ("metric", "a", "b", "b - a", "95 % interval", "p (Holm)", "effect", "better")
    rows = [heads, *(_metric_row(metric) for metric in comparison.metrics)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for reason, count in comparison.excluded.items():
        yield f"left out: {counted(count, 'request')} {reason}"
    yield ""
    yield comparison.conclusion
    if comparison.same_weights:
        yield SAME_WEIGHTS


def holds_nothing(recording: Path, losses: Losses) -> SetupError:
    """For what was read to its end without a request: a recording that has none yet, or no recording at all."""
    if losses.damaged_lines or losses.damaged_blocks:
        return SetupError(
            f"{recording} holds no recording: none of its lines is one; `reflex serve --record DIR` writes files named "
            "*.jsonl.gz into DIR"
        )
    return SetupError(f"{recording} holds no requests")


def loss_lines(losses: Losses) -> Iterator[str]:
    """What is missing of a recording, one line each."""
    if losses.torn_lines:
        lines = counted(losses.torn_lines, "line")
        yield f"{lines} torn off at the end of a file: the server was stopped while writing"
    if losses.damaged_lines:
        yield f"{counted(losses.damaged_lines, 'damaged line')} skipped"
    if losses.damaged_blocks:
        yield f"{counted(losses.damaged_blocks, 'damaged block')} skipped; the number of requests in there is unknown"
    if losses.dropped:
        yield f"{counted(losses.dropped, 'request')} not recorded by the server, which was too busy to write"


def _compared(slot: str, policy: str, episodes: int, reduced: int) -> str:
    note = (
        f"; {counted(reduced, 'request')} of them with fewer denoising steps (--slo-mode degrade or --adaptive-steps)"
        if reduced
        else ""
    )
    return f"{slot}  {policy}, {counted(episodes, 'episode')}{note}"


def _slot_lines(slot: SlotSummary, edges_ms: Sequence[float]) -> Iterator[str]:
    yield f"slot {slot.slot}  {slot.policy}" + (f"  ({slot.embodiment})" if slot.embodiment else "")
    if slot.reduced_from is not None:
        yield f"  variant     {slot.reduced_from} with fewer denoising steps (--slo-mode degrade or --adaptive-steps)"
    yield f"  requests    {slot.requests:,} in {counted(slot.episodes, 'episode')}; {_errors(slot.errors)}"
    if slot.client_errors:
        yield f"  clients     {_errors(slot.client_errors)} of what they asked (4xx)"
    if slot.degraded:
        yield f"  degraded    {slot.degraded:,} without an episode id, or in place of the other slot"
    if slot.latency is None:
        return
    yield f"  latency     {_latency(slot.latency)}"
    yield f"              {sparkline(slot.latency_counts)}  {edges_ms[0]:.3g} .. {edges_ms[-1]:.3g} ms"
    medians = [point.p50_ms for point in slot.timeline if point.p50_ms is not None]
    yield f"  over time   {sparkline(medians)}  p50 {min(medians):.3g} .. {max(medians):.3g} ms"
    yield f"  guard       {_guard(slot)}"
    if slot.jerk is not None:
        yield f"  smoothness  jerk {slot.jerk:.3g} unit²" + (
            "" if slot.jump is None else f", jump {slot.jump:.3g} unit"
        )
        yield from _axis_lines(slot)


def _axis_lines(slot: SlotSummary) -> Iterator[str]:
    width = max(len(axis.name) for axis in slot.axes)
    for axis in slot.axes:
        jerk, jump = _number(axis.jerk), _number(axis.jump)
        violations = f"  {counted(axis.violations, 'violation')}" if axis.violations else ""
        yield f"    {axis.name:<{width}}  jerk {jerk:<9}  jump {jump:<9}{violations}".rstrip()


def _shadow_lines(shadow: ShadowSummary) -> Iterator[str]:
    yield f"shadow  {shadow.policy}"
    yield f"  requests    {shadow.requests:,}; {_errors(shadow.errors)}"
    yield f"  guard       would have changed {counted(shadow.violations, 'value')}"
    if shadow.mean_cosine is not None:
        yield f"  agreement   cosine {shadow.mean_cosine:.6f} on average, {shadow.least_cosine:.6f} at least"
    if shadow.max_abs:
        yield "  difference  at most " + ", ".join(f"{name} {value:.3g}" for name, value in shadow.max_abs.items())
    if shadow.latency is not None:
        yield f"  latency     {_latency(shadow.latency)}"


def _metric_row(metric: MetricComparison) -> tuple[str, ...]:
    found = metric.found
    if found is None:
        return (metric.metric, "", "", "", "too few episodes", "", "", "?")
    change = "" if metric.change is None else f" ({metric.change:+.1%})"
    return (
        metric.metric,
        f"{found.mean_a:.4g}",
        f"{found.mean_b:.4g}",
        f"{found.difference:+.3g} {metric.unit}{change}",
        f"{found.low:+.3g} .. {found.high:+.3g}",
        "" if metric.p_corrected is None else f"{metric.p_corrected:.2g}",
        "" if found.effect is None else f"{found.effect:+.2f}",
        metric.better or "?",
    )


def _latency(latency: LatencySummary) -> str:
    return f"p50 {latency.p50_ms:.1f}, p90 {latency.p90_ms:.1f}, p99 {latency.p99_ms:.1f}, max {latency.max_ms:.1f} ms"


def _errors(errors: Mapping[str, int]) -> str:
    total = sum(errors.values())
    if not total:
        return "no errors"
    return f"{counted(total, 'error')} ({', '.join(f'{code} {count}' for code, count in errors.items())})"


def _guard(slot: SlotSummary) -> str:
    if not slot.clamped:
        return "changed no answer"
    kinds = ", ".join(f"{kind} {count}" for kind, count in slot.violations.items())
    return f"changed {slot.clamped:,} of {counted(slot.answers, 'answer')} ({slot.clamped / slot.answers:.1%}): {kinds}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _time(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S}"
