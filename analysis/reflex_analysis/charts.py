"""Charts as SVG text. They take their colours from the page's CSS, so they follow light, dark and paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import Final, TypeAlias

from reflex.wording.nouns import counted
from reflex_analysis.figures import TimePoint

__all__ = ["Interval", "Series", "interval_chart", "latency_chart", "timeline_chart"]

WIDTH: Final = 460
HEIGHT: Final = 230
LEFT: Final = 58
RIGHT: Final = 12
TOP: Final = 14
BOTTOM: Final = 26
ROW_HEIGHT: Final = 34
LABEL_WIDTH: Final = 62
LARGEST_CHANGE: Final = 1.0
"""Of a relative change that is drawn; what goes beyond ends in an arrow at the border."""

LEAST_MS: Final = 1e-3
"""On a logarithmic axis: a recording may say 0."""
Scale: TypeAlias = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Series:
    """One slot in a chart; `colour` is a class of the page's CSS."""

    label: str
    colour: str
    counts: Sequence[int]
    median_ms: float
    timeline: Sequence[TimePoint]


@dataclass(frozen=True, slots=True)
class Interval:
    """One metric: b's change relative to a, with its interval; None where a's mean is zero."""

    label: str
    colour: str
    value: float | None
    low: float
    high: float
    words: str


def latency_chart(series: Sequence[Series], edges_ms: Sequence[float]) -> str:
    """How often each latency came, as shares of each slot's answers, over a logarithmic axis."""
    x = _log_scale(edges_ms[0], edges_ms[-1], LEFT, WIDTH - RIGHT)
    shares = [[count / max(1, sum(one.counts)) for count in one.counts] for one in series]
    y = _linear_scale(0, max((max(row) for row in shares), default=0) or 1, HEIGHT - BOTTOM, TOP)
    parts = [*_log_ticks_below(x, edges_ms[0], edges_ms[-1]), _line(LEFT, y(0), WIDTH - RIGHT, y(0), "axis-line")]
    for one, row in zip(series, shares, strict=True):
        steps = [(x(edge), y(share)) for share, pair in zip(row, pairwise(edges_ms), strict=True) for edge in pair]
        path = _path([(x(edges_ms[0]), y(0)), *steps, (x(edges_ms[-1]), y(0))])
        median = _line(x(one.median_ms), y(0), x(one.median_ms), TOP, "mark-line")
        title = f"<title>{escape(one.label)}: median {one.median_ms:.1f} ms</title>"
        parts.append(f'<g class="{one.colour}"><path class="area" d="{path}"/>{median}{title}</g>')
    return _svg(parts, HEIGHT, "Distribution of latency")


def timeline_chart(series: Sequence[Series]) -> str:
    """Median and 99th percentile over the time of the recording; red marks stand where requests failed."""
    points = [point for one in series for point in one.timeline]
    known = [value for point in points for value in (point.p50_ms, point.p99_ms) if value is not None]
    low, high = min(known, default=1.0), max(known, default=10.0)
    first, last = min(point.at for point in points), max(point.at for point in points)
    x = _linear_scale(first, max(last, first + 1e-3), LEFT, WIDTH - RIGHT)
    y = _log_scale(low / 1.1, high * 1.1, HEIGHT - BOTTOM, TOP)
    parts = [*_log_ticks_left(y, low / 1.1, high * 1.1), *_time_ticks(x, first, last)]
    for one in series:
        parts.append(
            f'<g class="{one.colour}">{"".join(_run(run, x, y, one.label) for run in _runs(one.timeline))}</g>'
        )
        for point in one.timeline:
            if point.errors:
                share = f"{point.errors} of {counted(point.requests, 'request')}"
                words = f"{one.label}: {share} failed, {_clock(point.at, last - first)}"
                parts.append(
                    f'<rect class="error" x="{x(point.at) - 2:.1f}" y="{HEIGHT - BOTTOM - 7}" width="4" height="7">'
                    f"<title>{escape(words)}</title></rect>"
                )
    return _svg(parts, HEIGHT, "Latency over time")


def interval_chart(intervals: Sequence[Interval]) -> str:
    """A line for each metric with its confidence interval around no change; left of it b is better."""
    ends = [abs(end) for one in intervals if one.value is not None for end in (one.low, one.high)]
    most = min(max([*ends, 0.05]) * 1.08, LARGEST_CHANGE)
    x = _linear_scale(-most, most, LABEL_WIDTH, WIDTH - 3 * RIGHT)
    height = TOP + 8 + ROW_HEIGHT * len(intervals) + BOTTOM
    bottom = height - BOTTOM
    parts = [
        *(_line(x(share), TOP + 4, x(share), bottom, "grid-line") for share in _marks(most)),
        _line(x(0), TOP + 4, x(0), bottom, "axis-line"),
        _text(LABEL_WIDTH, TOP, "← b better", "start"),
        _text(WIDTH - RIGHT, TOP, "a better →", "end"),
        *(_text(x(share), bottom + 16, f"{share:+.0%}" if share else "0", "middle") for share in _marks(most)),
    ]
    for row, one in enumerate(intervals):
        parts.append(_interval(one, x, TOP + 8 + ROW_HEIGHT * (row + 0.5), most))
    return _svg(parts, height, "Change from a to b with 95 % confidence intervals")


def _interval(one: Interval, x: Scale, y: float, most: float) -> str:
    label = _text(2, y + 4, one.label, "start", "strong")
    if one.value is None:
        return label + _text(x(0) + 8, y + 4, one.words, "start")
    low, high = max(one.low, -most), min(one.high, most)
    arrows = "".join(
        f'<path class="arrow" d="M{x(side * most):.1f} {y - 5:.1f}l{side * 7} 5l{-side * 7} 5Z"/>'
        for side, goes_on in ((-1, one.low < -most), (1, one.high > most))
        if goes_on
    )
    dot = f'<circle class="dot" cx="{x(one.value):.1f}" cy="{y:.1f}" r="6"/>' if abs(one.value) <= most else ""
    return (
        f'{label}<g class="{one.colour}"><title>{escape(one.words)}</title>'
        f"{_line(x(low), y, x(high), y, 'whisker')}{arrows}{dot}</g>"
    )


def _marks(most: float) -> list[float]:
    """Round shares on both sides of zero, two or three of them."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if step * 4 > most)
    return [index * step for index in range(-3, 4) if abs(index * step) <= most]


def _runs(timeline: Sequence[TimePoint]) -> Iterator[list[tuple[float, float, float]]]:
    """Neighbouring points (time, median, 99th percentile). Spans without an answer are skipped, long ones are a gap."""
    run: list[tuple[float, float, float]] = []
    silent = 0
    for point in timeline:
        if point.p50_ms is None or point.p99_ms is None:
            silent += 1
            continue
        if silent > len(timeline) // 6 and run:
            yield run
            run = []
        silent = 0
        run.append((point.at, point.p50_ms, point.p99_ms))
    if run:
        yield run


def _run(run: Sequence[tuple[float, float, float]], x: Scale, y: Scale, label: str) -> str:
    medians = [(x(at), y(median)) for at, median, _ in run]
    tops = [(x(at), y(high)) for at, _, high in run]
    if len(run) == 1:
        return f'<circle class="dot" cx="{medians[0][0]:.1f}" cy="{medians[0][1]:.1f}" r="4"/>'
    return (
        f'<path class="band" d="{_path([*medians, *tops[::-1]])}Z"/><path class="line" d="{_path(medians)}">'
        f"<title>{escape(label)}: the line is the median, the shade reaches to the 99th percentile</title></path>"
    )


def _log_ticks_below(x: Scale, low: float, high: float) -> Iterator[str]:
    for value in _log_ticks(low, high):
        yield _line(x(value), TOP, x(value), HEIGHT - BOTTOM, "grid-line")
        anchor = "end" if x(value) > WIDTH - LEFT else "middle"  # A label in the middle of the edge would be cut off.
        yield _text(x(value), HEIGHT - BOTTOM + 16, f"{value:g} ms", anchor)


def _log_ticks_left(y: Scale, low: float, high: float) -> Iterator[str]:
    for value in _log_ticks(low, high):
        yield _line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid-line")
        yield _text(LEFT - 6, y(value) + 4, f"{value:g}", "end")
    yield _text(LEFT + 4, TOP - 3, "ms", "start")


def _time_ticks(x: Scale, first: float, last: float) -> Iterator[str]:
    yield _line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis-line")
    for at, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        yield _text(x(at), HEIGHT - BOTTOM + 16, _clock(at, last - first), anchor)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each decade; in narrow ranges finer ones, in wide ones only the decades."""
    low, high = max(low, LEAST_MS), max(high, LEAST_MS)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ratio = high / low
    digits = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0) if ratio < 6 else (1.0, 2.0, 5.0) if ratio < 300 else (1.0,)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
    return ticks if ratio >= 1.5 else [math.sqrt(low * high)]


def _clock(unix_s: float, span_s: float) -> str:
    text = "%H:%M:%S" if span_s < 600 else "%H:%M" if span_s < 86_400 else "%m-%d %H:%M"
    return datetime.fromtimestamp(unix_s, UTC).strftime(text)


def _linear_scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _log_scale(low: float, high: float, start: float, end: float) -> Scale:
    least = max(low, LEAST_MS)
    span = math.log(max(high, least * 1.01) / least)
    return lambda value: start + math.log(max(value, least) / least) / span * (end - start)


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
