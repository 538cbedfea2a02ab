"""The report of a recording: one HTML page with everything in it, for a screen, a phone or paper. It runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from itertools import chain
from typing import Final

from reflex.traces.lines import Losses
from reflex.wording.nouns import counted
from reflex_analysis.charts import Interval, Series, interval_chart, latency_chart, timeline_chart
from reflex_analysis.compare import SAME_WEIGHTS, Comparison, MetricComparison
from reflex_analysis.figures import LatencySummary, ShadowSummary, SlotSummary, Summary
from reflex_analysis.report_tables import (
    bar_table,
    card,
    comparison_table,
    error_table,
    number,
    smoothness_bars,
    stage_bars,
    violation_bars,
)

__all__ = ["render_report"]

COLOURS: Final = ("s0", "s1", "s2", "s3")
NOTHING_FOREIGN: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""The page asks the browser to load nothing, should a text in it ever try."""


def render_report(summary: Summary, comparison: Comparison | None = None) -> str:
    """The page. `comparison` is shown on top when the recording has two slots."""
    style = resources.files("reflex_analysis").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FOREIGN}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Reflex: what was recorded</title>'
        f"<style>{style}</style></head><body><main>{''.join(_sections(summary, comparison))}</main></body></html>\n"
    )


def _sections(summary: Summary, comparison: Comparison | None) -> Iterator[str]:
    yield _head(summary)
    if comparison is not None:
        yield _verdict(comparison)
    colours = _colours(summary.slots)
    yield _grid(_slot_card(slot, colour) for slot, colour in zip(summary.slots, colours, strict=True))
    yield _grid(chain(_charts(summary, colours, comparison), _details(summary, colours)))
    if comparison is not None:
        yield comparison_table(comparison)
    yield _grid(_shadow_card(shadow) for shadow in summary.shadows)
    yield _losses(summary.losses)
    yield _footer(comparison is not None)


def _colours(slots: Sequence[SlotSummary]) -> list[str]:
    """Slot a and b keep their colours; policies that one of them had before get others."""
    further = iter(COLOURS[2:] * len(slots))
    seen: dict[str, str] = {}
    return [
        next(further) if slot.slot in seen else seen.setdefault(slot.slot, COLOURS[slot.slot == "b"]) for slot in slots
    ]


def _head(summary: Summary) -> str:
    if summary.first_at is None or summary.last_at is None:
        return "<header><h1>Nothing recorded</h1><p class=sub>The recording holds no requests.</p></header>"
    embodiments = " and ".join(sorted({slot.embodiment for slot in summary.slots if slot.embodiment}))
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (summary.first_at, summary.last_at))
    until = f"{end:%H:%M}" if end.date() == begin.date() else f"{end:%d %B %Y, %H:%M}"
    counts = f"{counted(summary.requests, 'request')} in {counted(summary.episodes, 'episode')}"
    policies = " against ".join(
        dict.fromkeys(slot.policy.partition("@")[0] for slot in summary.slots if slot.reduced_from is None)
    )
    return (
        f"<header><span class=tag>Reflex recording</span><h1>{escape(policies)}</h1>"
        f"<p class=sub>{escape(embodiments)}{' · ' if embodiments else ''}{counts} · "
        f"{begin:%d %B %Y, %H:%M} to {until} UTC</p></header>"
    )


def _verdict(comparison: Comparison) -> str:
    kind, words = ("yes", "The data allow a conclusion") if comparison.conclusive else ("no", "No conclusion yet")
    return (
        f'<section class="card wide verdict {kind}"><span class=tag>{words}</span>'
        f"<p class=say>{escape(comparison.conclusion)}</p>{_same_weights(comparison)}</section>"
    )


def _same_weights(comparison: Comparison) -> str:
    return f"<p class=note>{SAME_WEIGHTS[0].upper()}{SAME_WEIGHTS[1:]}.</p>" if comparison.same_weights else ""


def _slot_card(slot: SlotSummary, colour: str) -> str:
    failed = sum(slot.errors.values())
    tiles = [
        ("Requests", f"{slot.requests:,}", f"in {counted(slot.episodes, 'episode')}", False),
        *_latency_tiles(slot.latency),
        ("Errors", f"{failed:,}", f"{failed / slot.requests:.2%} of requests", failed > 0),
        *_client_error_tile(slot),
        ("Guard changed", _share(slot.clamped, slot.answers), counted(slot.clamped, "answer"), False),
        ("Jerk", number(slot.jerk), "unit²", False),
        ("Jump", number(slot.jump), "unit", False),
    ]
    rows = "".join(_tile(name, value, small, is_bad=is_bad) for name, value, small, is_bad in tiles)
    return (
        f'<section class="card slot {colour}"><h2><span class=badge>{slot.slot}</span>{_named(slot.policy)}</h2>'
        f"{_variant_note(slot)}<dl class=tiles>{rows}</dl></section>"
    )


def _client_error_tile(slot: SlotSummary) -> Iterator[tuple[str, str, str, bool]]:
    if slot.client_errors:
        yield "Client errors", f"{sum(slot.client_errors.values()):,}", "requests, 4xx", False


def _variant_note(slot: SlotSummary) -> str:
    if slot.reduced_from is None:
        return ""
    asked_for = "--slo-mode degrade or --adaptive-steps"
    return f"<p class=note>{escape(slot.reduced_from)} with fewer denoising steps ({asked_for})</p>"


def _tile(name: str, value: str, small: str, *, is_bad: bool = False) -> str:
    """A figure with its unit behind it, or with a few words below it."""
    under = " class=under" if " " in small else ""
    return f"<div><dt>{name}</dt><dd{' class=bad' if is_bad else ''}>{value} <small{under}>{small}</small></dd></div>"


def _named(policy: str) -> str:
    """`name@hash` with the hash in the background."""
    name, _, digits = policy.partition("@")
    return f"<span>{escape(name)} <small>{escape(digits)}</small></span>"


def _latency_tiles(latency: LatencySummary | None) -> Iterator[tuple[str, str, str, bool]]:
    if latency is not None:
        yield "Median latency", f"{latency.p50_ms:.1f}", "ms", False
        yield "90 % under", f"{latency.p90_ms:.1f}", "ms", False
        yield "99 % under", f"{latency.p99_ms:.1f}", "ms", False
        yield "Slowest", f"{latency.max_ms:.1f}", "ms", False


def _charts(summary: Summary, colours: Sequence[str], comparison: Comparison | None) -> Iterator[str]:
    series = [
        Series(f"{slot.slot} {slot.policy}", colour, slot.latency_counts, slot.latency.p50_ms, slot.timeline)
        for slot, colour in zip(summary.slots, colours, strict=True)
        if slot.latency is not None
    ]
    if not series:
        return
    legend = "".join(f'<span class="{one.colour}"><i></i>{escape(one.label)}</span>' for one in series)
    yield card(
        "How long answers took", "Share of the answers; the dashed line is the median. Logarithmic scale.",
        f"<div class=legend>{legend}</div>{latency_chart(series, summary.latency_edges_ms)}",
    )  # fmt: skip
    failed = '<span><i class="mark"></i>requests failed</span>' if any(slot.errors for slot in summary.slots) else ""
    yield card(
        "Latency over time", "Line: median. Shade: up to the 99th percentile. UTC.",
        f"<div class=legend>{legend}{failed}</div>{timeline_chart(series)}",
    )  # fmt: skip
    if comparison is not None:
        yield card(
            "What changes from a to b", "Relative to a, with 95 % confidence intervals; grey where nothing is certain.",
            interval_chart([_interval(metric) for metric in comparison.metrics]),
        )  # fmt: skip


def _interval(metric: MetricComparison) -> Interval:
    found = metric.found
    colour = {"a": COLOURS[0], "b": COLOURS[1]}.get(metric.better or "", "open")
    if found is None:
        return Interval(metric.metric, colour, None, 0, 0, "too few episodes")
    if metric.change is None:
        return Interval(metric.metric, colour, None, 0, 0, "none in a" if found.difference else "none in either")
    low, high = found.low / found.mean_a, found.high / found.mean_a
    words = f"{metric.metric}: {metric.change:+.1%}, between {low:+.1%} and {high:+.1%}"
    return Interval(metric.metric, colour, metric.change, low, high, words)


def _details(summary: Summary, colours: Sequence[str]) -> Iterator[str]:
    pairs = [(slot, colour) for slot, colour in zip(summary.slots, colours, strict=True) if slot.answers]
    if any(slot.timing_ms for slot, _ in pairs):
        yield card("Where the time goes", "Mean milliseconds of an answer.", stage_bars([slot for slot, _ in pairs]))
    for title, note, values in (
        ("Changed by the guard, by axis", "Values that were out of range or too large a step.", violation_bars(pairs)),
        ("Jerk by axis", "Mean squared third difference within a chunk, robot units².", smoothness_bars(pairs, "jerk")),
        ("Jump by axis", "From the last chunk's plan to the next chunk, robot units.", smoothness_bars(pairs, "jump")),
    ):
        if values:
            yield card(title, note, bar_table(values, [(slot.slot, colour) for slot, colour in pairs]))
    for title, note, errors in (
        ("Errors", "Of the server, by code.", [slot.errors for slot in summary.slots]),
        ("Client errors", "Mistakes of clients (4xx), by code: no policy's.", [s.client_errors for s in summary.slots]),
    ):
        if any(errors):
            yield card(title, note, error_table([slot.slot for slot in summary.slots], errors))


def _shadow_card(shadow: ShadowSummary) -> str:
    tiles = [("Requests", f"{shadow.requests:,}", ""), ("Errors", f"{sum(shadow.errors.values()):,}", "")]
    if shadow.mean_cosine is not None and shadow.least_cosine is not None:
        tiles += [
            ("Cosine, mean", f"{shadow.mean_cosine:.5f}", ""),
            ("Cosine, least", f"{shadow.least_cosine:.5f}", ""),
        ]
    if shadow.latency is not None:
        tiles += [
            ("Median latency", f"{shadow.latency.p50_ms:.1f}", "ms"),
            ("99 %", f"{shadow.latency.p99_ms:.1f}", "ms"),
        ]
    tiles.append(("Guard would change", f"{shadow.violations:,}", "values"))
    rows = "".join(_tile(name, value, unit) for name, value, unit in tiles)
    bars = bar_table({name: [value] for name, value in shadow.max_abs.items()}, [("", "s2")]) if shadow.max_abs else ""
    note = "Largest difference from what was answered, by axis, in robot units." if bars else ""
    return (
        f'<section class="card slot s2"><h2><span class=badge>shadow</span>{_named(shadow.policy)}</h2>'
        f'<dl class=tiles>{rows}</dl><p class=note style="margin-top:14px">{note}</p>{bars}</section>'
    )


def _losses(losses: Losses) -> str:
    if not losses.any:
        return ""
    lines = (
        (losses.dropped, "request", "not recorded: the server was too busy to write"),
        (losses.torn_lines, "line", "torn off where the server was stopped while writing"),
        (losses.damaged_lines, "damaged line", "skipped"),
        (losses.damaged_blocks, "damaged block", "skipped"),
    )
    items = "".join(f"<li>{counted(count, noun)} {words}</li>" for count, noun, words in lines if count)
    return f'<section class="card wide warn"><h2>What is missing</h2><ul>{items}</ul></section>'


def _footer(has_comparison: bool) -> str:  # noqa: FBT001 - one caller
    terms = [
        (
            "Latency",
            "milliseconds in the server, from a request's first byte to its answer, of answers with status 200",
        ),
        ("Jerk", "the mean squared third difference along the steps of a chunk: the less, the smoother"),
        ("Jump", "how far a chunk begins from what the chunk before it had planned for that moment"),
    ]
    if has_comparison:
        terms.append((
            "Comparison", "means per episode, Welch's t intervals, p-values corrected for the number of metrics (Holm)",
        ))  # fmt: skip
    rows = "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in terms)
    return f"<footer><b>What the figures are</b><dl>{rows}</dl></footer>"


def _grid(cards: Iterator[str]) -> str:
    inside = "".join(cards)
    return f"<div class=grid>{inside}</div>" if inside else ""


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
