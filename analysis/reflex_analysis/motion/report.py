"""What `reflex bench motion` prints: one line for each strategy at each latency, or one JSON value."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from reflex.wording.nouns import counted
from reflex_analysis.motion.measures import Figures
from reflex_analysis.motion.strategies import STRATEGIES
from reflex_analysis.motion.trials import Bench, Served, Trial, pace_of

__all__ = ["as_json", "heading", "medians", "remarks", "table_lines"]

TOLERATED_OVERRUNS: Final = 0.02
"""Of all control periods."""
COLUMNS: Final[tuple[tuple[str, str, Callable[[Figures], str]], ...]] = (
    ("seam mean", "% range", lambda of: f"{of.discontinuity_mean:.2f}"),
    ("seam max", "% range", lambda of: f"{of.discontinuity_max:.2f}"),
    ("kink", "% range", lambda of: f"{of.kink_mean:.2f}"),
    ("jerk rms", "range/s³", lambda of: f"{of.jerk_rms:,.0f}"),
    ("jerk p99", "range/s³", lambda of: f"{of.jerk_p99:,.0f}"),
    ("pauses", "", lambda of: f"{of.pauses:g}"),
    ("longest", "periods", lambda of: f"{of.longest_pause:g}"),
    ("tracking", "% range", lambda of: f"{of.tracking_rms:.2f}"),
    ("requests", "per s", lambda of: f"{of.requests_per_s:.2f}"),
    ("late", "answers", lambda of: f"{of.late:g}"),
    ("delay", "periods", lambda of: f"{of.delay_median:g}"),
    ("server", "ms", lambda of: f"{of.server_ms_median:.1f}"),
)


def heading(bench: Bench, served: Served) -> str:
    """What was tried, in one line."""
    pace = pace_of(bench, served)
    injected = f", its server slowed by {served.injected_latency_ms:g} ms" if served.injected_latency_ms else ""
    who = f"{served.model_version} on {served.embodiment.name} ({bench.plant}){injected}"
    return (
        f"{who}: chunks of {served.shape.horizon} at {pace.control_hz:g} Hz, jitter {bench.jitter_ms:g} ms, "
        f"{bench.seconds:g} s each"
    )


def table_lines(trials: Sequence[Trial]) -> list[str]:
    """The table, with a line of units below its names. Of repeated trials the median of each figure."""
    rows = [["strategy", "latency", *(name for name, _, _ in COLUMNS)]]
    rows.append(["", "ms", *(unit for _, unit, _ in COLUMNS)])
    for (strategy, latency_ms), figures in medians(trials).items():
        rows.append([strategy, f"{latency_ms:g}", *(cell(figures) for _, _, cell in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def remarks(trials: Sequence[Trial]) -> Iterator[str]:
    """What makes figures less than they seem: refusals, a machine that is too busy, a server that continued nothing."""
    for trial in trials:
        where = f"{trial.strategy} at {trial.latency_ms:g} ms"
        for code, count in trial.course.refusals.items():
            yield f"{where}: {counted(count, 'request')} failed with {code}"
        if STRATEGIES[trial.strategy].tells_progress and trial.figures.seams and not trial.figures.guided:
            yield f"{where}: the server continued no chunk; its answers say why in rtc_reason"
        if STRATEGIES[trial.strategy].corrects and trial.figures.seams and not trial.figures.corrected:
            yield f"{where}: the server corrected no chunk; its answers say why in a2c2_reason"
        if trial.figures.corrected and not STRATEGIES[trial.strategy].corrects:
            yield f"{where}: {counted(trial.figures.corrected, 'answer')} corrected by a head of the server"
    overruns = sum(trial.figures.overruns for trial in trials)
    periods = sum(len(trial.course.commands) for trial in trials)
    if overruns > TOLERATED_OVERRUNS * periods:
        yield f"{overruns:,} of {counted(periods, 'control period')} began late: this machine is too busy"


def medians(trials: Sequence[Trial]) -> dict[tuple[str, float], Figures]:
    """By strategy and latency, in the order in which they were tried."""
    found: dict[tuple[str, float], list[Figures]] = {}
    for trial in trials:
        found.setdefault((trial.strategy, trial.latency_ms), []).append(trial.figures)
    return {key: _median(figures) for key, figures in found.items()}


def as_json(bench: Bench, served: Served, trials: Sequence[Trial], *, interrupted: bool) -> dict[str, Any]:
    """The one value: what was tried, and every trial's figures."""
    pace = pace_of(bench, served)
    return {
        "model_version": served.model_version,
        "embodiment": served.embodiment.name,
        "horizon": served.shape.horizon,
        "control_hz": pace.control_hz,
        "replan_steps": pace.replan_steps,
        "jitter_ms": bench.jitter_ms,
        "seconds": bench.seconds,
        "seed": bench.seed,
        "plant": bench.plant,
        "has_rtc": served.has_rtc,
        "injected_latency_ms": served.injected_latency_ms,
        "interrupted": interrupted,
        "trials": [
            {"strategy": each.strategy, "latency_ms": each.latency_ms, "repeat": each.repeat}
            | dataclasses.asdict(each.figures)
            | {"refusals": each.course.refusals}
            for each in trials
        ],
    }


def _median(figures: Sequence[Figures]) -> Figures:
    rows = [dataclasses.asdict(each) for each in figures]
    return Figures(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()
