"""`reflex bench motion`: a simulated arm by the answers of a running server."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from reflex.cli.options import ApiKeyOption, JsonOption, UrlArgument, UrlOption, server_url
from reflex.console import EXIT_INTERRUPTED, print_json, reported_errors, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex.client.connection import Connection
    from reflex_analysis.motion.trials import Bench, Served, Trial

__all__ = ["motion"]

DEADLINE_S: Final = 10.0
ALL_STRATEGIES: Final = "sync,open-loop,rtc,rtc+a2c2"

StrategiesOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help=f"How to use the chunks, separated by commas. Default: {ALL_STRATEGIES}; "
        "rtc only where the server runs with --rtc, rtc+a2c2 only with --a2c2-url.",
    ),
]
A2c2UrlOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A second server of the same policy, with --rtc and --a2c2-checkpoint."),
]
PlantOption = Annotated[
    Literal["point-mass", "mujoco"] | None,
    typer.Option(metavar="NAME", help="What moves: point-mass or mujoco. Default: mujoco where it is installed."),
]


def motion(
    url: UrlArgument = None,
    *,
    url_option: UrlOption = None,
    strategies: StrategiesOption = None,
    a2c2_url: A2c2UrlOption = None,
    plant: PlantOption = None,
    latency_ms: Annotated[
        str, typer.Option(metavar="MS", help="Latencies to add to each answer, separated by commas.")
    ] = "0,50,100,200",
    jitter_ms: Annotated[
        float, typer.Option(metavar="MS", min=0.0, help="Each answer comes up to so much earlier or later.")
    ] = 10.0,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="Of motion in each trial.")] = 10.0,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, help="Trials of each kind; the table has medians.")] = 1,
    control_hz: Annotated[
        float | None, typer.Option(metavar="HZ", min=1.0, max=1000.0, help="Of the control loop. Default: the robot's.")
    ] = None,
    replan_steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Ask ahead when N steps of a chunk are over. Default: half of it."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the network and of the policy's noise.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Also draw a PNG.")] = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drive a simulated arm by the answers of a running server, with latency added, and judge its motion.

    Each strategy runs in real time at each latency. No robot takes part. Ctrl-C prints what is measured so far.

    Example:

    \b
      reflex bench motion http://127.0.0.1:9000 --latency-ms 0,100 --plot motion.png
    """
    from reflex_analysis.motion.plants import best_plant
    from reflex_analysis.motion.trials import Bench

    url = server_url(url, url_option)
    _refuse_infinite({"--jitter-ms": jitter_ms, "--seconds": seconds, "--control-hz": control_hz or 1.0})
    wanted = Bench(
        _strategies(strategies or ALL_STRATEGIES), _latencies(latency_ms), jitter_ms, seconds, repeat, seed,
        control_hz, replan_steps, plant or best_plant(),
    )  # fmt: skip
    if a2c2_url is not None and not _corrects(wanted):
        raise typer.BadParameter("needs the strategy rtc+a2c2", param_hint="--a2c2-url")
    with reported_errors(as_json=as_json):
        _refuse_unwritable(plot)
        tried, served, trials, interrupted = _tried(url, a2c2_url, wanted, api_key, may_leave_out=strategies is None)
        _report(tried, served, trials, plot, as_json=as_json, interrupted=interrupted)
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def _tried(
    url: str, a2c2_url: str | None, wanted: Bench, api_key: str | None, *, may_leave_out: bool
) -> tuple[Bench, Served, list[Trial], bool]:
    """What was tried in the end, on what, its trials, and whether Ctrl-C ended them."""
    from reflex_analysis.motion.trials import run_trials

    trials: list[Trial] = []
    with ExitStack() as open_servers:
        served, connection = open_servers.enter_context(_looked_at(url, api_key))
        corrected = None if a2c2_url is None else open_servers.enter_context(_looked_at(a2c2_url, api_key))
        if corrected is not None:
            _refuse_another(served, corrected[0])
        wanted = _possible(wanted, served, has_corrected=corrected is not None, may_leave_out=may_leave_out)
        try:
            for trial in run_trials(wanted, served, connection, None if corrected is None else corrected[1]):
                trials.append(trial)
                _tell_progress(wanted, trials)
        except KeyboardInterrupt:
            if not trials:
                raise
            return wanted, served, trials, True
    return wanted, served, trials, False


@contextmanager
def _looked_at(url: str, api_key: str | None) -> Iterator[tuple[Served, Connection]]:
    """Who answers there, and the connection for the trials."""
    from reflex.client import ReflexClient
    from reflex.client.connection import Connection
    from reflex.client.http import checked_url
    from reflex_analysis.motion.trials import look_at

    with (
        ReflexClient(url, deadline_s=DEADLINE_S, api_key=api_key) as client,
        closing(Connection(checked_url(url), api_key=api_key)) as connection,
    ):
        yield look_at(client, connection), connection


def _refuse_another(served: Served, corrected: Served) -> None:
    """Two servers are compared that differ in the correction head alone, or none."""
    if not corrected.has_head:
        raise SetupError("--a2c2-url: its server runs without --a2c2-checkpoint, so it corrects nothing; start it so")
    if served.has_rtc and not corrected.has_rtc:
        raise SetupError("--a2c2-url: its server runs without --rtc; start it with --rtc and --a2c2-checkpoint")
    if served.model_version != corrected.model_version:
        raise SetupError(
            f"--a2c2-url: its server serves {corrected.model_version} and the other one {served.model_version}; "
            "start both with the same policy"
        )


def _possible(wanted: Bench, served: Served, *, has_corrected: bool, may_leave_out: bool) -> Bench:
    """Without the strategies that the servers cannot be asked for; `SetupError` when they were named."""
    possible = []
    for name in wanted.strategies:
        lacking = _lacking(name, served, has_corrected=has_corrected)
        if lacking is None:
            possible.append(name)
        elif may_leave_out:
            say(f"{name} is left out: {lacking[0]}")
        else:
            raise SetupError(f"the strategy {name} needs {lacking[1]}, or leave {name} out")
    return dataclasses.replace(wanted, strategies=possible)


def _lacking(name: str, served: Served, *, has_corrected: bool) -> tuple[str, str] | None:
    """What keeps a strategy from being tried: what was found, and what it needs."""
    from reflex_analysis.motion.strategies import STRATEGIES

    strategy = STRATEGIES[name]
    if strategy.tells_progress and not served.has_rtc:
        return "the server does not run with --rtc", "a server that runs with --rtc; start it so"
    if strategy.corrects and not has_corrected:
        return "no --a2c2-url was given", "--a2c2-url, a second server with --rtc and --a2c2-checkpoint; give it"
    return None


def _report(
    tried: Bench, served: Served, trials: Sequence[Trial], plot: Path | None, *, as_json: bool, interrupted: bool
) -> None:
    from reflex_analysis.motion.plot import draw_plot
    from reflex_analysis.motion.report import as_json as report_as_json
    from reflex_analysis.motion.report import heading, remarks, table_lines

    if plot is not None:
        draw_plot(plot, tried, served, trials)
    if as_json:
        print_json(report_as_json(tried, served, trials, interrupted=interrupted))
        return
    show(heading(tried, served))
    for line in table_lines(trials):
        show(line)
    for remark in remarks(trials):
        say(f"reflex: {remark}")
    if interrupted:
        say("reflex: interrupted; these are the trials that were over")
    if plot is not None:
        say(f"plot: {plot}")


def _tell_progress(wanted: Bench, trials: Sequence[Trial]) -> None:
    """One line for each trial that is over, on a terminal; nothing in a log."""
    if not sys.stderr.isatty():
        return
    last, number = trials[-1], len(wanted.strategies) * len(wanted.latencies_ms) * wanted.repeat
    say(f"{len(trials)} of {number}: {last.strategy} at {last.latency_ms:g} ms")


def _strategies(text: str) -> list[str]:
    from reflex_analysis.motion.strategies import STRATEGIES

    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in STRATEGIES:
            known = ", ".join(STRATEGIES)
            raise typer.BadParameter(f"{name!r} is no strategy; there are {known}", param_hint="--strategies")
    return names


def _corrects(wanted: Bench) -> bool:
    from reflex_analysis.motion.strategies import STRATEGIES

    return any(STRATEGIES[name].corrects for name in wanted.strategies)


def _latencies(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as exc:
        raise typer.BadParameter(f"{text!r} is not a list like 0,50,100", param_hint="--latency-ms") from exc
    if not all(math.isfinite(each) and 0.0 <= each <= 10_000.0 for each in found):
        raise typer.BadParameter("takes numbers from 0 to 10000", param_hint="--latency-ms")
    return list(dict.fromkeys(found))


def _refuse_infinite(values: Mapping[str, float]) -> None:
    for option, value in values.items():
        if not math.isfinite(value):
            raise typer.BadParameter("must be a finite number", param_hint=option)


def _refuse_unwritable(plot: Path | None) -> None:
    """Before minutes are spent on what cannot be kept."""
    if plot is not None and not plot.parent.is_dir():
        raise SetupError(f"--plot {plot} cannot be written: there is no folder {plot.parent}")
