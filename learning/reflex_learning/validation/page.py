"""The report of a validation: one HTML page with everything in it. It loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from reflex.wording.nouns import counted
from reflex_learning.validation.report import AxisRange, Report, Verdict
from reflex_learning.validation.rule import Finding

__all__ = ["render_page"]

NOTHING_FOREIGN: Final = "default-src 'none'; style-src 'unsafe-inline'"
WIDTH, HEIGHT = 720, 140
LABEL: Final = 200
ROW: Final = 22
MOST_BARS: Final = 360
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #667; --line: #d6dae2; --card: #fff; --page: #f4f5f8;
  --error: #b3261e; --warning: #8a5a00; --passed: #1b6e3c; --bar: #3566b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --faint: #9aa3b2; --line: #39414e; --card: #1b2029;
  --page: #12151b; --error: #ff8a80; --warning: #f2c14e; --passed: #7bd69b; --bar: #7fa8ee; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 24px 16px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 18px; margin: 14px 0; }
h1 { font-size: 22px; overflow-wrap: anywhere; } h2 { font-size: 17px; margin: 0 0 8px; }
.error { color: var(--error); } .warning { color: var(--warning); } .passed { color: var(--passed); }
.faint { color: var(--faint); } li { overflow-wrap: anywhere; } svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } .bar { fill: var(--bar); } .thin { fill: var(--line); }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid var(--line); padding: 3px 8px 3px 0;
  vertical-align: top; }
"""


def render_page(report: Report) -> str:
    """The page; whatever the dataset says in it is shown as text."""
    title = escape(f"Dataset {report.dataset}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FOREIGN}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><main>{''.join(_parts(report))}</main></body></html>\n"
    )


def _parts(report: Report) -> Iterator[str]:
    yield _head(report)
    yield from map(_failed, report.failed)
    if report.lengths:
        yield _card("Episodes", _length_chart([length / report.fps for length in report.lengths]))
    for feature in dict.fromkeys(axis.feature for axis in report.axes):
        axes = [axis for axis in report.axes if axis.feature == feature]
        yield _card(feature, _axis_chart(axes))
    yield _card("All rules", _rules(report.verdicts.values()))


def _head(report: Report) -> str:
    kind, words = ("passed", "fit for training") if report.is_valid else ("error", "not fit for training")
    counts = f"{counted(report.errors, 'error')}, {counted(report.warnings, 'warning')}"
    seen = f"{counted(report.episodes, 'episode')}, {report.frames:,} frames, {report.pictures:,} pictures"
    return (
        f"<header><h1>{escape(report.dataset)}</h1><p><b class={kind}>{words}</b>: {counts}</p>"
        f"<p class=faint>{seen} looked at</p></header>"
    )


def _card(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>"


def _failed(verdict: Verdict) -> str:
    rule = verdict.rule
    places = "".join(f"<li>{escape(_told(finding))}</li>" for finding in verdict.findings)
    more = verdict.count - len(verdict.findings)
    rest = f"<li class=faint>and {more:,} more</li>" if more else ""
    return (
        f"<section><h2 class={rule.severity}>{rule.severity}: {escape(rule.id)}</h2>"
        f"<p>It should be that {escape(rule.holds)}.</p><ul>{places}{rest}</ul>"
        f"<p>To do: {escape(rule.fix)}.</p></section>"
    )


def _told(finding: Finding) -> str:
    places = [
        "" if finding.episode is None else f"episode {finding.episode}",
        "" if finding.frame is None else f"frame {finding.frame}",
        finding.file or "",
    ]
    return ", ".join(place for place in places if place) + (": " if any(places) else "") + finding.says


def _length_chart(seconds: Sequence[float]) -> str:
    """A bar for each episode; of very many for each group of them its longest."""
    group = -(-len(seconds) // MOST_BARS)
    bars = [max(seconds[start : start + group]) for start in range(0, len(seconds), group)]
    most, width = max(bars) or 1.0, WIDTH / len(bars)
    drawn = "".join(
        f'<rect class=bar x="{place * width:.2f}" y="{HEIGHT * (1 - value / most):.2f}" '
        f'width="{max(0.5, width - 1):.2f}" height="{HEIGHT * value / most:.2f}"><title>{value:.2f} s</title></rect>'
        for place, value in enumerate(bars)
    )
    each = "episode" if group == 1 else f"the longest of {group} episodes"
    return (
        f"<p class=faint>Seconds of each {each}: {min(seconds):.2f} to {max(seconds):.2f}</p>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Lengths of episodes">{drawn}</svg>'
    )


def _axis_chart(axes: Sequence[AxisRange]) -> str:
    """What each axis used: least to greatest, and within it mean and standard deviation."""
    low, high = min(axis.low for axis in axes), max(axis.high for axis in axes)
    scale = (WIDTH - LABEL - 10) / ((high - low) or 1.0)
    rows = "".join(_axis_row(place, axis, low, scale) for place, axis in enumerate(axes))
    return (
        f"<p class=faint>Least to greatest, and mean with standard deviation; {low:.4g} to {high:.4g}</p>"
        f'<svg viewBox="0 0 {WIDTH} {ROW * len(axes)}" role="img" aria-label="Ranges of the axes">{rows}</svg>'
    )


def _axis_row(place: int, axis: AxisRange, low: float, scale: float) -> str:
    begin, end = max(axis.low, axis.mean - axis.std), min(axis.high, axis.mean + axis.std)
    words = f"{axis.label}: {axis.low:.4g} to {axis.high:.4g}, mean {axis.mean:.4g}, std {axis.std:.4g}"
    return (
        f'<text x="0" y="{place * ROW + 15}">{escape(axis.label[:28])}</text>'
        f"{_bar('thin', place, axis.low - low, axis.high - axis.low, scale, words)}"
        f"{_bar('bar', place, begin - low, end - begin, scale, words)}"
    )


def _bar(kind: str, place: int, begin: float, length: float, scale: float, words: str) -> str:
    x, width = LABEL + begin * scale, max(1.0, length * scale)
    return (
        f'<rect class={kind} x="{x:.2f}" y="{place * ROW + 4}" width="{width:.2f}" height="{ROW - 8}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _rules(verdicts: Iterable[Verdict]) -> str:
    return f"<table>{''.join(map(_rule_row, verdicts))}</table>"


def _rule_row(verdict: Verdict) -> str:
    kind = verdict.rule.severity if verdict.count else "passed" if verdict.is_checked else "faint"
    state = counted(verdict.count, "time") if verdict.count else "holds" if verdict.is_checked else "not checked"
    return (
        f"<tr><td>{escape(verdict.rule.id)}</td><td class={kind}>{state}</td><td>{escape(verdict.rule.holds)}</td></tr>"
    )
