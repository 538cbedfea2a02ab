"""The report of an evaluation: one HTML page with everything in it. It loads nothing and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from reflex_runner.evaluation.comparison import Comparison
from reflex_runner.evaluation.intervals import Interval
from reflex_runner.evaluation.outcomes import EpisodeOutcome, Evaluation
from reflex_runner.evaluation.report import EvaluationReport
from reflex_runner.evaluation.words import percent, span

__all__ = ["render_page"]

NOTHING_FOREIGN: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
MOST_STRIPS: Final = 24
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #667; --line: #d6dae2; --card: #fff; --page: #f4f5f8;
  --won: #1b6e3c; --lost: #b3261e; --bar: #3566b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --faint: #9aa3b2; --line: #39414e; --card: #1b2029;
  --page: #12151b; --won: #7bd69b; --lost: #ff8a80; --bar: #7fa8ee; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 24px 16px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 18px;
  margin: 14px 0; overflow-x: auto; }
h1 { font-size: 22px; overflow-wrap: anywhere; } h2 { font-size: 17px; margin: 0 0 8px; overflow-wrap: anywhere; }
.won { color: var(--won); } .lost { color: var(--lost); } .faint { color: var(--faint); }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { border-top: 1px solid var(--line); padding: 3px 10px 3px 0; vertical-align: top; }
img { width: 100%; height: auto; display: block; } svg { width: 100%; height: 26px; }
.whole { fill: var(--line); } .bar { fill: var(--bar); } .rate { fill: var(--ink); }
"""


def render_page(report: EvaluationReport) -> str:
    """The page; whatever a server says in it is shown as text."""
    title = escape(f"Evaluation of {report.evaluation.policy}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FOREIGN}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>{''.join(_parts(report))}</main></body></html>\n"
    )


def _parts(report: EvaluationReport) -> Iterator[str]:
    yield _rate(report.evaluation)
    if report.against is not None:
        yield _against(report.against)
    if report.ablations:
        yield _ablations(report.evaluation, report.ablations)
    for evaluation in report.all:
        yield from _strips(evaluation)
    yield _card("Episodes", _episodes(report.evaluation.episodes))
    yield _card("Settings", _table((), [[name, str(value)] for name, value in report.evaluation.settings.items()]))


def _rate(evaluation: Evaluation) -> str:
    left = evaluation.asked - len(evaluation.episodes)
    cut = f"<p class=lost>{left} episodes were not played.</p>" if left else ""
    errors = "".join(f"<p class=lost>{escape(each.code)}: {escape(each.message)}</p>" for each in evaluation.errors)
    return _card(
        f"{evaluation.successes} of {len(evaluation.episodes)} succeeded: {percent(evaluation.rate)}",
        f"{_bar(evaluation.rate, evaluation.interval)}<p>95 % interval: {span(evaluation.interval)}</p>{cut}{errors}"
        f"<p class=faint>{evaluation.times_real_time:.1f} times real time</p>",
    )


def _bar(rate: float, interval: Interval) -> str:
    low, high = interval.low * 1000, interval.high * 1000
    return (
        '<svg viewBox="0 0 1000 26" preserveAspectRatio="none" role="img" '
        'aria-label="The interval of the success rate">'
        f'<rect class=whole x="0" y="9" width="1000" height="8"/>'
        f'<rect class=bar x="{low:.1f}" y="5" width="{max(1.0, high - low):.1f}" height="16"/>'
        f'<rect class=rate x="{min(996.0, rate * 1000):.1f}" y="0" width="4" height="26"/></svg>'
    )


def _against(found: Comparison) -> str:
    pairs = found.pairs
    rows = [
        ["both", str(pairs.both), ""],
        [found.first.policy, str(pairs.first_only), _listed(found.first_only)],
        [found.second.policy, str(pairs.second_only), _listed(found.second_only)],
        ["neither", str(pairs.neither), ""],
    ]
    return _card(
        f"Against {found.second.policy}: {percent(found.difference, signed=True)}",
        f"<p>{found.second.successes} of {len(found.second.episodes)} succeeded, {percent(found.second.rate)}. "
        f"The difference on {pairs.total} seeds, of the second to the first, has the 95 % interval "
        f"{span(found.interval, signed=True)} (Newcombe, paired); McNemar's exact p is {found.p_value:.3g}. "
        f"{found.identical} episodes are the same to the bit.</p>"
        f"{_table(('won by', 'seeds', 'which'), rows)}",
    )


def _ablations(whole: Evaluation, ablations: Sequence[Comparison]) -> str:
    rows = [["nothing", percent(whole.rate), span(whole.interval), "", ""]]
    rows += [
        [
            str(each.second.without), percent(each.second.rate), span(each.second.interval),
            percent(each.difference, signed=True), span(each.interval, signed=True),
        ]
        for each in ablations
    ]  # fmt: skip
    heads = ("taken away", "success", "95 % interval", "difference", "95 % interval, paired")
    return _card("What the policy listens to", _table(heads, rows))


def _strips(evaluation: Evaluation) -> Iterator[str]:
    """Of failures, from their first moment to their last."""
    films = [each for each in evaluation.episodes if each.film is not None and each.film.with_suffix(".jpg").is_file()]
    if not films:
        return
    name = evaluation.policy + ("" if evaluation.without is None else f" without {evaluation.without}")
    yield _card(f"Failures of {name}", "".join(map(_strip, films[:MOST_STRIPS])))


def _strip(episode: EpisodeOutcome) -> str:
    if episode.film is None:
        return ""
    data = base64.b64encode(episode.film.with_suffix(".jpg").read_bytes()).decode("ascii")
    words = f"seed {episode.seed}, {episode.steps} steps, {episode.ended_by}"
    return f'<p>{escape(words)}</p><img alt="Pictures of {escape(words)}" src="data:image/jpeg;base64,{data}">'


def _episodes(episodes: Iterable[EpisodeOutcome]) -> str:
    rows = [
        [
            str(each.seed), "success" if each.success else each.ended_by, str(each.steps), str(each.clamped_steps),
            f"{each.latency_ms['p50']:.1f}" if "p50" in each.latency_ms else "",
        ]
        for each in episodes
    ]  # fmt: skip
    return _table(("seed", "ended by", "steps", "changed by the guard", "median answer, ms"), rows)


def _card(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = f"<tr>{''.join(f'<th>{escape(each)}</th>' for each in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
