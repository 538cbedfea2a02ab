"""`reflex train a2c2`: a correction head from a recording."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex.correction.head import CorrectionHead
    from reflex_analysis.correction.recorded import Recorded
    from reflex_analysis.correction.training import Training

__all__ = ["a2c2"]


def a2c2(
    traces: Annotated[Path, typer.Argument(metavar="TRACES", help="A folder of recordings, or one file of it.")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the head goes, like head.safetensors; head.json beside it.")
    ],
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose chunks, when the recording holds several policies.")
    ] = None,
    reach_ms: Annotated[
        float, typer.Option(metavar="MS", min=1.0, max=60_000.0, help="How stale an action is corrected at most.")
    ] = 1_000.0,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Passes over what is learnt.")] = 60,
    hidden: Annotated[int, typer.Option(metavar="N", min=1, max=1_024, help="Width of the two hidden layers.")] = 64,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same one gives the same head.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a head that corrects stale actions by the newest state, for `reflex serve --a2c2-checkpoint`.

    It learns from what the policy said of a moment later, when it had seen more. A fifth of the episodes is held out,
    and says what the head is good for; one that makes nothing better is not written. Needs no GPU.

    Example:

    \b
      reflex train a2c2 recordings --out head.safetensors
    """
    from reflex_analysis.correction.training import Training

    if not math.isfinite(reach_ms):
        raise typer.BadParameter("must be a finite number", param_hint="--reach-ms")
    how = Training(reach_ms, epochs, (hidden, hidden), seed)
    with reported_errors(as_json=as_json):
        recorded, head = _trained(traces, out, policy, how)
    if as_json:
        print_json({"file": str(out), "requests": recorded.requests, **head.description.model_dump(mode="json")})
    else:
        _show(out, recorded, head)


def _trained(traces: Path, out: Path, policy: str | None, how: Training) -> tuple[Recorded, CorrectionHead]:
    from reflex.cli.trace_text import loss_lines
    from reflex.correction.files import head_paths, write_head
    from reflex_analysis.correction.recorded import MOST_REQUESTS, read_recording
    from reflex_analysis.correction.training import train_head

    tensors, _ = head_paths(out)  # before minutes are spent on what cannot be kept
    if not tensors.parent.is_dir():
        raise SetupError(f"--out {out} cannot be written: there is no folder {tensors.parent}")
    recorded = read_recording(traces, policy)
    if recorded.requests >= MOST_REQUESTS:
        say(f"the first {MOST_REQUESTS:,} requests are used")
    for line in loss_lines(recorded.losses):
        say(f"reflex: {line}")
    head = train_head(recorded, how, _progress(how.epochs))
    write_head(out, head)
    return recorded, head


def _progress(epochs: int) -> Callable[[int, float], None]:
    """A line now and then on a terminal; nothing in a log."""
    every = max(1, epochs // 10)

    def tell(epoch: int, error: float) -> None:
        if sys.stderr.isatty() and (epoch % every == 0 or epoch == epochs):
            say(f"epoch {epoch} of {epochs}: error {error:.4f}")

    return tell


def _show(out: Path, recorded: Recorded, head: CorrectionHead) -> None:
    told, training = head.description, head.description.training
    if training is None:
        return
    show(
        f"{recorded.policy.model_version}: {training.samples:,} actions of {recorded.requests:,} requests in "
        f"{training.episodes:,} episodes; up to {told.max_lead_steps} steps ahead at {told.control_hz:g} Hz"
    )
    width = max(len(name) for name in told.action_names)
    for name, before, after in zip(told.action_names, training.error_before, training.error_after, strict=True):
        show(f"{name:<{width}}  error {before:.4g} -> {after:.4g}")
    show(f"held out, {training.held_out_samples:,} actions: {training.error_removed:.0%} of the error is removed")
    say(f"written: {out}")
