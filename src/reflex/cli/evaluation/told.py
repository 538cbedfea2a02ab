"""How an evaluation is told to people, while it goes on and when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from reflex.console import say
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_runner.evaluation import Comparison, Evaluation, EvaluationReport

__all__ = ["lines_of", "say_progress"]

MOST_SEEDS: Final = 20
HEADS: Final = ("taken away", "success", "95 % interval", "difference", "95 % interval, paired", "lost / won")


def say_progress(so_far: Evaluation) -> None:
    """One line of the episode that has ended, with the rate so far."""
    from reflex_runner.evaluation.words import percent, span

    last = so_far.episodes[-1]
    went = "success" if last.success else f"no success ({last.ended_by})"
    whose = "" if so_far.without is None else f"without {so_far.without}, "
    say(
        f"reflex: {whose}{len(so_far.episodes)} of {so_far.asked}: seed {last.seed}: {went} after {last.steps} steps; "
        f"so far {percent(so_far.rate)} ({span(so_far.interval)})"
    )


def lines_of(report: EvaluationReport) -> Iterator[str]:
    """The result; errors go to stderr."""
    yield from _rate(report.evaluation)
    if report.against is not None:
        yield ""
        yield from _rate(report.against.second)
        yield from _difference(report.against)
    if report.ablations:
        yield ""
        yield from _ablations(report.evaluation, report.ablations)
    for error in report.errors:
        say(f"reflex: {error.code}: {error.message}")


def _rate(found: Evaluation) -> Iterator[str]:
    from reflex_runner.evaluation.words import percent, span

    left = found.asked - len(found.episodes)
    yield (
        f"{found.policy}: success {found.successes} of {len(found.episodes)}: {percent(found.rate)}, "
        f"95 % interval {span(found.interval)}" + (f"; {left} were not played" if left else "")
    )
    steps = "" if found.median_steps is None else f"median {found.median_steps:g} steps to success, "
    answers = "" if found.median_latency_ms is None else f"median answer {found.median_latency_ms:.1f} ms, "
    yield f"{steps}{answers}{found.times_real_time:.1f} times real time"
    films = [each.film for each in found.episodes if each.film is not None]
    if films:
        yield f"{counted(len(films), 'film')} of failures: {films[0].parent}"


def _difference(found: Comparison) -> Iterator[str]:
    from reflex_runner.evaluation.words import percent, span

    yield (
        f"difference on {counted(found.pairs.total, 'seed')}, of the second to the first: "
        f"{percent(found.difference, signed=True)}, "
        f"95 % interval {span(found.interval, signed=True)}; McNemar's exact p {found.p_value:.3g}"
    )
    yield f"won by the first alone: {_seeds(found.first_only)}"
    yield f"won by the second alone: {_seeds(found.second_only)}"
    yield f"the same to the bit: {counted(found.identical, 'episode')}"


def _seeds(seeds: Sequence[int]) -> str:
    more = f" and {len(seeds) - MOST_SEEDS} more" if len(seeds) > MOST_SEEDS else ""
    listed = ", ".join(map(str, seeds[:MOST_SEEDS]))
    return f"{counted(len(seeds), 'seed')}{f': {listed}' if listed else ''}{more}"


def _ablations(whole: Evaluation, ablations: Sequence[Comparison]) -> Iterator[str]:
    from reflex_runner.evaluation.words import percent, span

    rows = [HEADS, ("nothing", percent(whole.rate), span(whole.interval), "", "", "")]
    for each in ablations:
        pairs = each.pairs
        rows.append(
            (
                str(each.second.without), percent(each.second.rate), span(each.second.interval),
                percent(each.difference, signed=True), span(each.interval, signed=True),
                f"{pairs.first_only} / {pairs.second_only}",
            )
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
