"""The tables of the report: bars by axis, errors by code, where the time goes, and the comparison in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, TypeAlias

from reflex.wording.nouns import counted
from reflex_analysis.compare import Comparison, MetricComparison
from reflex_analysis.figures import SlotSummary

__all__ = [
    "Bars", "bar_table", "card", "comparison_table", "error_table", "number", "smoothness_bars", "stage_bars",
    "violation_bars",
]  # fmt: skip

STAGES: Final = (("queue_ms", "waiting", "t0"), ("decode_ms", "decoding", "t1"), ("infer_ms", "model", "t2"),
                 ("guard_ms", "guard", "t3"))  # fmt: skip

Bars: TypeAlias = Mapping[str, Sequence[float | None]]
"""A row for each axis, with a value for each slot."""


def card(title: str, note: str, body: str, kind: str = "") -> str:
    """A box with a title, a line about it, and its contents, which are HTML already."""
    return f'<section class="card {kind}"><h2>{title}</h2><p class=note>{note}</p>{body}</section>'


def violation_bars(pairs: Sequence[tuple[SlotSummary, str]]) -> Bars:
    """How often the guard changed each axis; axes that it never did are left out."""
    counts = _by_axis([{axis.name: float(axis.violations) for axis in slot.axes} for slot, _ in pairs])
    return {name: row for name, row in counts.items() if any(row)}


def smoothness_bars(pairs: Sequence[tuple[SlotSummary, str]], measure: str) -> Bars:
    """`measure` ("jerk" or "jump") of each axis; empty when nothing could be measured."""
    values = _by_axis([{axis.name: getattr(axis, measure) for axis in slot.axes} for slot, _ in pairs])
    return values if any(value is not None for row in values.values() for value in row) else {}


def _by_axis(columns: Sequence[Mapping[str, float | None]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def bar_table(values: Bars, columns: Sequence[tuple[str, str]]) -> str:
    """A row for each key of `values`; a column with its name and colour for each value in a row."""
    most = max((value for row in values.values() for value in row if value is not None), default=0.0) or 1.0
    rows = []
    for name, row in values.items():
        bars = "".join(
            f'<b class="{colour}{"" if value else " none"}" style="width:{(value or 0) / most * 100:.1f}%"></b>'
            for value, (_, colour) in zip(row, columns, strict=True)
        )
        cells = "".join(f"<td class=number>{number(value)}</td>" for value in row)
        rows.append(f"<tr><td class=name>{escape(name)}</td><td class=bars>{bars}</td>{cells}</tr>")
    names = "".join(f"<th class=number>{escape(name)}</th>" for name, _ in columns) if len(columns) > 1 else ""
    head = f"<tr><th></th><th></th>{names}</tr>" if names else ""
    return f"<div class=table><table>{head}{''.join(rows)}</table></div>"


def error_table(slots: Sequence[str], errors: Sequence[Mapping[str, int]]) -> str:
    """How often each slot answered with each code."""
    codes = dict.fromkeys(code for of_slot in errors for code in of_slot)
    head = "".join(f"<th class=number>{escape(slot)}</th>" for slot in slots)
    rows = "".join(
        f"<tr><td>{escape(code)}</td>"
        + "".join(f"<td class=number>{of_slot.get(code, 0):,}</td>" for of_slot in errors)
        + "</tr>"
        for code in codes
    )
    return f"<div class=table><table><tr><th>code</th>{head}</tr>{rows}</table></div>"


def comparison_table(comparison: Comparison) -> str:
    """Every metric with its means, interval, p-value and effect."""
    heads = ("a", "b", "b less a", "95 % interval", "p (Holm)", "effect (g)")
    head = "".join(f"<th class=number>{name}</th>" for name in heads)
    rows = "".join(_comparison_row(metric) for metric in comparison.metrics)
    notes = "".join(
        f"<p class=note>Left out: {counted(count, 'request')} {escape(reason)}.</p>"
        for reason, count in comparison.excluded.items()
    )
    notes += "".join(
        f"<p class=note>Answered for {slot} by its variant with fewer denoising steps, and counted: {count:,}.</p>"
        for slot, count in (("a", comparison.reduced_a), ("b", comparison.reduced_b))
        if count
    )
    return card(
        "The comparison in numbers",
        f"Means of {counted(comparison.episodes_a, 'episode')} of a and {comparison.episodes_b:,} of b;"
        " less is better.",
        f"<div class=table><table><tr><th>per episode</th>{head}<th>better</th></tr>{rows}</table></div>{notes}",
        "wide",
    )


def _comparison_row(metric: MetricComparison) -> str:
    found = metric.found
    name = f"<td><b>{escape(metric.metric)}</b><br><span class=note>{escape(metric.meaning)}</span></td>"
    if found is None:
        return f"<tr>{name}<td colspan=7 class=note>too few episodes</td></tr>"
    change = "" if metric.change is None else f" ({metric.change:+.1%})"
    cells = (
        number(found.mean_a), number(found.mean_b), f"{found.difference:+.3g} {metric.unit}{change}",
        f"{found.low:+.3g} … {found.high:+.3g}", number(metric.p_corrected, 2),
        "" if found.effect is None else f"{found.effect:+.2f}",
    )  # fmt: skip
    numbers = "".join(f"<td class=number>{escape(cell)}</td>" for cell in cells)
    verdict = f'<span class="better-{metric.better}">{metric.better}</span>' if metric.better else "?"
    return f"<tr>{name}{numbers}<td>{verdict}</td></tr>"


def stage_bars(slots: Sequence[SlotSummary]) -> str:
    """The parts of the mean latency, one bar for each slot."""
    legend = "".join(f'<span class="{colour}"><i></i>{name}</span>' for _, name, colour in STAGES)
    return f"<div class=legend>{legend}</div>{''.join(map(_stages, slots))}"


def _stages(slot: SlotSummary) -> str:
    total = sum(slot.timing_ms.values()) or 1.0
    bars = "".join(
        f'<b class="{colour}" style="flex:{slot.timing_ms.get(key, 0.0) / total:.4f}"'
        f' title="{name} {slot.timing_ms.get(key, 0.0):.2f} ms"></b>'
        for key, name, colour in STAGES
    )
    words = ", ".join(f"{name} {slot.timing_ms.get(key, 0.0):.2f}" for key, name, _ in STAGES)
    return (
        f"<div class=split><b>{escape(slot.slot)}</b> <span class=note>{words} ms</span>"
        f"<div class=stack>{bars}</div></div>"
    )


def number(value: float | None, digits: int = 3) -> str:
    """Whole numbers whole, others to `digits` significant digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.{digits}g}"
