"""`reflex training logs` and `reflex training wait`: a run as it goes, and its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.control.answering import reported
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.interrupted import interruption_told
from reflex.cli.training.runs import RunArgument
from reflex.console import EXIT_FAILED, print_json, say, show
from reflex.printable import printable

if TYPE_CHECKING:
    from reflex.control.training_objects import TrainingRun

__all__ = ["logs", "wait"]


@with_control_options
def logs(
    at: ControlOptions,
    run_id: RunArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Also what comes, until the run has ended.")] = False,
) -> None:
    """Print the log of a run. With --json each line is an object with its number.

    Example:

    \b
      reflex training logs run_abc123 --follow
    """
    from reflex.control.following import log_lines
    from reflex.control.opening import open_client

    with (
        interruption_told(lambda: f"interrupted; {run_id} goes on", as_json=at.as_json),
        reported(at),
        open_client(at.api_key, convex_url=at.convex_url) as client,
    ):
        for line in log_lines(client, run_id, follow=follow, tell=say):
            if at.as_json:
                print_json(line)
            else:
                show(printable(line["text"]))


@with_control_options
def wait(
    at: ControlOptions,
    run_id: RunArgument,
    *,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Wait so long at most.")] = None,
) -> None:
    """Wait until a run has ended. Exit code 0 when it succeeded, 1 otherwise; Ctrl-C ends the waiting alone.

    Example:

    \b
      reflex training wait run_abc123
    """
    from reflex.control.following import wait_for_run
    from reflex.control.opening import open_client

    with (
        interruption_told(lambda: f"interrupted; {run_id} goes on", as_json=at.as_json),
        reported(at),
        open_client(at.api_key, convex_url=at.convex_url) as client,
        _shown_course() as seen,
    ):
        run = wait_for_run(client, run_id, timeout_s=timeout, seen=seen, tell=say)
    if at.as_json:
        print_json(run)
    else:
        show(f"{run['id']} {run['state']}: {printable(run['reason'] or '')}")
    if run["state"] != "succeeded":
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _shown_course() -> Iterator[Callable[[TrainingRun], None]]:
    """A bar of steps on a terminal; nothing in a log."""
    if not sys.stderr.isatty():
        yield lambda _run: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("queued", total=None)
        yield lambda run: bar.update(
            task, description=_said(run), completed=run["step"], total=run["steps"] if run["step"] else None
        )


def _said(run: TrainingRun) -> str:
    loss = (run["newest"] or {}).get("loss")
    place = "" if run["position"] is None else f" at position {run['position']}"
    return f"{run['state']}{place}" + ("" if loss is None else f", loss {loss:.4g}")
