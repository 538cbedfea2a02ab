"""The report of a diagnosis: one HTML page with everything in it. It loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from reflex.wording.nouns import counted
from reflex_learning.diagnosis.kinds import kind_of
from reflex_learning.diagnosis.report import Diagnosis, Finding, Trial

__all__ = ["render_page"]

NOTHING_FOREIGN: Final = "default-src 'none'; style-src 'unsafe-inline'"
WIDTH, ROW, LABEL = 720, 22, 330
MOST_TRIALS: Final = 25
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #667; --line: #d6dae2; --card: #fff; --page: #f4f5f8;
  --error: #b3261e; --passed: #1b6e3c; --bar: #3566b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --faint: #9aa3b2; --line: #39414e; --card: #1b2029;
  --page: #12151b; --error: #ff8a80; --passed: #7bd69b; --bar: #7fa8ee; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 24px 16px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 18px; margin: 14px 0; }
h1 { font-size: 22px; overflow-wrap: anywhere; } h2 { font-size: 17px; margin: 0 0 8px; }
.error { color: var(--error); } .passed { color: var(--passed); } .faint { color: var(--faint); }
li, p { overflow-wrap: anywhere; } svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } .bar { fill: var(--bar); }
"""


def render_page(diagnosis: Diagnosis) -> str:
    """The page; whatever server and dataset say in it is shown as text."""
    title = escape(f"Diagnosis of {diagnosis.policy}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FOREIGN}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><main>{''.join(_parts(diagnosis))}</main></body></html>\n"
    )


def _parts(diagnosis: Diagnosis) -> Iterator[str]:
    yield _head(diagnosis)
    yield from map(_finding, diagnosis.findings)
    if diagnosis.notes:
        yield _card("Worth knowing", f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in diagnosis.notes)}</ul>")
    if diagnosis.error_by_axis:
        yield _card("Error of each axis", _bars(diagnosis.axes, diagnosis.error_by_axis))
    if diagnosis.error_by_step:
        steps = [f"action {step}" for step in range(len(diagnosis.error_by_step))]
        yield _card("Error of each action of a chunk", _bars(steps, diagnosis.error_by_step))
    if diagnosis.trials:
        yield _card("What was tried: error with each fault undone", _trials(diagnosis.trials))


def _head(diagnosis: Diagnosis) -> str:
    kind, words = (
        ("passed", "nothing found") if diagnosis.is_healthy else ("error", counted(len(diagnosis.findings), "finding"))
    )
    asked = f"{counted(diagnosis.frames, 'frame')}, {counted(diagnosis.requests, 'answer')}"
    errors = (
        ""
        if diagnosis.error is None
        else f"; error {diagnosis.error:.2f}, and {diagnosis.mean_error or 0:.2f} by the mean of all actions"
    )
    return (
        f"<header><h1>{escape(diagnosis.policy)} at {escape(diagnosis.server)}</h1><p>{escape(diagnosis.dataset)}</p>"
        f"<p><b class={kind}>{words}</b></p><p class=faint>{asked}{errors}. "
        "Errors are in standard deviations of the recorded actions.</p></header>"
    )


def _card(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>"


def _finding(finding: Finding) -> str:
    also = f"<p class=faint>It may also be: {escape('; '.join(finding.also))}</p>" if finding.also else ""
    return (
        f"<section><h2 class=error>{escape(finding.kind)}</h2><p>{escape(finding.line)}</p>"
        f"<p>To do: {escape(kind_of(finding.kind).fix)}.</p>{also}</section>"
    )


def _trials(trials: Sequence[Trial]) -> str:
    best = sorted(trials, key=lambda trial: trial.error)[:MOST_TRIALS]
    return _bars([trial.name for trial in best], [trial.error for trial in best])


def _bars(labels: Sequence[str], values: Sequence[float]) -> str:
    scale = (WIDTH - LABEL - 60) / (max(values, default=0.0) or 1.0)
    rows = "".join(
        _bar(place, label, value, scale) for place, (label, value) in enumerate(zip(labels, values, strict=False))
    )
    return f'<svg viewBox="0 0 {WIDTH} {ROW * len(values)}" role="img" aria-label="Errors">{rows}</svg>'


def _bar(place: int, label: str, value: float, scale: float) -> str:
    y = place * ROW
    return (
        f'<text x="0" y="{y + 15}">{escape(label[:52])}<title>{escape(label)}</title></text>'
        f'<rect class=bar x="{LABEL}" y="{y + 4}" width="{max(1.0, value * scale):.2f}" height="{ROW - 8}"></rect>'
        f'<text x="{LABEL + value * scale + 6:.2f}" y="{y + 15}">{value:.2f}</text>'
    )
