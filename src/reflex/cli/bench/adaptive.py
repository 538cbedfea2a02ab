"""`reflex bench adaptive`: what adaptive denoising steps save on recorded observations, and what they cost."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reflex.policy_config import PolicyConfig
    from reflex_analysis.adaptive.observed import Tried
    from reflex_analysis.adaptive.report import Curve

__all__ = ["adaptive"]


def adaptive(
    recording: Annotated[Path, typer.Argument(metavar="TRACES", help="A folder of recordings, or one file of it.")],
    *,
    repository: Annotated[
        Path, typer.Option(metavar="PATH", help="A model repository that holds the policy with several step counts.")
    ],
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="The policy with all its steps, where there are several.")
    ] = None,
    tolerances: Annotated[
        str, typer.Option(metavar="SHARES", help="Values of --adaptive-tolerance to try, separated by commas.")
    ] = "0.005,0.01,0.02,0.03,0.05,0.1,0.2,0.5",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Use the first N observations that can be.")] = 500,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Also draw a PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer recorded observations with every step count, and judge the rule of adaptive steps by them.

    Each variant is served for itself and asked with the same noise. The error is the largest difference to the answer
    with all steps, before the guard.

    Example:

    \b
      reflex bench adaptive recordings --repository models --policy pick_cup --plot adaptive.png
    """
    from reflex_analysis.adaptive.observed import variants_of
    from reflex_analysis.adaptive.report import curve_of

    wanted = _tolerances(tolerances)
    with reported_errors(as_json=as_json):
        if plot is not None and not plot.parent.is_dir():
            raise SetupError(f"--plot {plot} cannot be written: there is no folder {plot.parent}")
        variants = variants_of(repository, policy)
        tried = _tried(recording, repository, variants, limit)
        if not tried.observations or tried.embodiment is None:
            reasons = "; ".join(f"{count:,} because {reason}" for reason, count in tried.skipped.items())
            raise SetupError(f"no observation of {recording} could be used: {reasons or 'there is none'}")
        curve = curve_of(tried.observations, tried.embodiment, wanted)
        if plot is not None:
            from reflex_analysis.adaptive.plot import draw_curve

            draw_curve(plot, curve, _heading(variants))
        if as_json:
            from reflex_analysis.adaptive.report import as_json as curve_as_json

            print_json(curve_as_json(curve, variants[0].model_version, tried.skipped))
            return
        _show(variants, tried, curve, plot)


def _tried(recording: Path, repository: Path, variants: Sequence[PolicyConfig], limit: int) -> Tried:
    from reflex_analysis.adaptive.observed import Tried, ask_variants, read_observations

    tried = Tried()
    observations = read_observations(recording, limit, tried.skipped)
    if observations:
        ask_variants(repository, variants, observations, tried, _tell_progress)
    return tried


def _show(variants: Sequence[PolicyConfig], tried: Tried, curve: Curve, plot: Path | None) -> None:
    from reflex_analysis.adaptive.report import table_lines, verdict

    show(_heading(variants))
    for line in (*table_lines(curve), verdict(curve)):
        show(line)
    for reason, count in tried.skipped.items():
        say(f"not used: {count:,}, {'each ' if count > 1 else ''}because {reason}")
    if plot is not None:
        say(f"plot: {plot}")


def _heading(variants: Sequence[PolicyConfig]) -> str:
    steps = ", ".join(str(config.denoising_steps) for config in variants)
    untrained = "" if variants[0].trained else " (untrained: its numbers say nothing of a policy at work)"
    return f"{variants[0].model_version} with {steps} denoising steps{untrained}"


def _tell_progress(config: PolicyConfig, count: int) -> None:
    """Now and then on a terminal; nothing in a log."""
    if sys.stderr.isatty() and count % 50 == 0:
        say(f"{config.policy_id}: {count} asked")


def _tolerances(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as exc:
        raise typer.BadParameter(f"{text!r} is not a list like 0.01,0.05", param_hint="--tolerances") from exc
    if not all(math.isfinite(each) and 0.0 < each <= 1.0 for each in found):
        raise typer.BadParameter("takes numbers above 0, at most 1", param_hint="--tolerances")
    return sorted(set(found))
