"""`reflex robots heartbeat`: say once that a robot lives, as its runner does all the time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reflex.cli.control.answering import answer
from reflex.cli.control.options import ControlOptions, with_control_options

if TYPE_CHECKING:
    from reflex.control.objects import HeartbeatAnswer

__all__ = ["heartbeat"]


@with_control_options
def heartbeat(
    at: ControlOptions,
    robot_id: Annotated[str, typer.Argument(metavar="ROBOT_ID", help="As `reflex robots list` shows it.")],
    *,
    session_id: Annotated[str | None, typer.Option(metavar="ID", help="The session that drives it.")] = None,
    deployment_id: Annotated[str | None, typer.Option(metavar="ID", help="The deployment that drives it.")] = None,
    mode: Annotated[
        Literal["dry_run", "apply_actions"] | None,
        typer.Option(metavar="MODE", help="What the robot does with actions: dry_run or apply_actions."),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=0, help="Steps of the session.")] = None,
    applied_steps: Annotated[int | None, typer.Option(metavar="N", min=0, help="Those that moved the robot.")] = None,
    calibration_id: Annotated[
        str | None, typer.Option(metavar="HASH", help="The hash of its calibration file.")
    ] = None,
) -> None:
    """Say that a robot lives, and how its session goes; the answer says which mode holds from now on.

    Example:

    \b
      reflex robots heartbeat robot_xyz789 --calibration-id sha256:0f3a
    """
    answer(
        at,
        lambda client: client.heartbeat_robot(
            robot_id,
            session_id=session_id,
            deployment_id=deployment_id,
            mode=mode,
            steps=steps,
            applied_steps=applied_steps,
            calibration_id=calibration_id,
        ),
        _lines,
    )


def _lines(answered: HeartbeatAnswer) -> Iterable[str]:
    session = answered.get("session")
    yield f"mode     {answered['mode']}"
    yield f"session  {'none' if session is None else session['id'] + ', ' + session['status']}"
    yield f"clock    {answered.get('serverTime')}"
