"""`reflex training list`, `show` and `cancel`: what has become of runs, and ending one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reflex.cli.control.answering import answer, table
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import say
from reflex.printable import printable

if TYPE_CHECKING:
    from reflex.control.training_objects import TrainingRun

__all__ = ["RunArgument", "cancel", "list_runs", "show_run"]

COLUMNS = ("id", "state", "position", "base", "step", "steps", "attempt", "createdAt", "reason")

RunArgument = Annotated[str, typer.Argument(metavar="RUN_ID", help="As `reflex training list` shows it.")]


@with_control_options
def list_runs(
    at: ControlOptions,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Everybody's, and so the whole queue.")] = False,
    state: Annotated[
        Literal["queued", "provisioning", "running", "succeeded", "failed", "cancelled"] | None,
        typer.Option(metavar="STATE", help="Only queued, provisioning, running, succeeded, failed or cancelled ones."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those that were started after this one.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="So many at most. Default: 1000.")
    ] = None,
) -> None:
    """Show your key's runs, oldest first: id, state, position in the queue, base, step of steps, attempt, and why.

    Example:

    \b
      reflex training list --all
    """
    found = answer(
        at,
        lambda client: client.list_training_runs(all=all_, state=state, after=after, limit=limit),
        lambda page: table(COLUMNS, map(_row, page["runs"])),
    )
    if not at.as_json and found.get("nextAfter") is not None:
        say(f"more: --after {found['nextAfter']}")


@with_control_options
def show_run(at: ControlOptions, run_id: RunArgument) -> None:
    """Show one run: its state and place in the queue, what it was asked for, how far it is, and what came of it.

    Example:

    \b
      reflex training show run_abc123
    """
    answer(at, lambda client: client.get_training_run(run_id), _lines)


@with_control_options
def cancel(
    at: ControlOptions,
    run_id: RunArgument,
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it stands in the receipt.")] = None,
) -> None:
    """End a run: at once where it waits, else by its worker within seconds. One that has ended stays as it is.

    Example:

    \b
      reflex training cancel run_abc123 --reason "wrong dataset"
    """
    run = answer(
        at, lambda client: client.cancel_training_run(run_id, reason=reason), lambda told: table(COLUMNS, [_row(told)])
    )
    if not at.as_json and run["isCancelAsked"] and run["endedAt"] is None:
        say(f"its worker ends it at its next beat; wait for it: reflex training wait {run_id}")


def _row(run: TrainingRun) -> dict[str, Any]:
    reason = None if run["reason"] is None else printable(run["reason"])
    return {**run, "base": run["request"].get("base"), "reason": reason}


def _lines(run: TrainingRun) -> Iterator[str]:
    yield f"run       {run['id']}"
    yield f"state     {_state(run)}"
    if run["reason"]:
        yield f"reason    {printable(run['reason'])}"
    yield f"dataset   {run['datasetId']} {run['datasetHash']}"
    yield f"asked     {', '.join(_asked(run['request']))}"
    yield f"step      {run['step']:,} of {run['steps']:,}, attempt {run['attempt']}"
    if run["newest"]:
        yield f"newest    {', '.join(_asked(run['newest']))}"
    if run["worker"]:
        yield f"worker    {printable(str(run['worker'].get('name')))}, heard at {run['lastBeatAt']}"
    if run["exported"]:
        yield f"policy    {printable(str(run['exported'].get('policy')))} {run['exported'].get('modelHash')}"
        yield f"model     {run['modelId'] or 'not registered'}"
    yield f"times     queued {run['createdAt']}, started {run['startedAt']}, ended {run['endedAt']}"


def _state(run: TrainingRun) -> str:
    asked = ", cancelling" if run["isCancelAsked"] and run["endedAt"] is None else ""
    return run["state"] + asked + ("" if run["position"] is None else f", position {run['position']}")


def _asked(fields: Mapping[str, Any]) -> Iterable[str]:
    return [printable(f"{name} {value}") for name, value in fields.items() if value not in (None, [], {})]
