"""`reflex sessions`: who drives which robot, how far it may go, and ending it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reflex.cli.control.answering import answer, table
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import say

if TYPE_CHECKING:
    from reflex.control.objects import Grant, Session

__all__ = ["sessions"]

COLUMNS = ("id", "status", "robotId", "deploymentId", "steps", "appliedSteps", "safeStops", "expiresAt")

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION_ID", help="As `reflex sessions list` shows it.")]

sessions = typer.Typer(help="Drive a robot: begin, promote and end sessions.", no_args_is_help=True,
                       rich_markup_mode=None)  # fmt: skip


@sessions.callback()
def _sessions() -> None:
    """Drive a robot: begin, promote and end sessions."""


@sessions.command(short_help="Begin a session, in dry_run.")
@with_control_options
def authorize(
    at: ControlOptions,
    *,
    deployment_id: Annotated[str | None, typer.Option(metavar="ID", help="The deployment that shall drive.")] = None,
    robot_id: Annotated[str | None, typer.Option(metavar="ID", help="The robot to drive.")] = None,
    artifact_id: Annotated[
        str | None, typer.Option(metavar="ID", help="A trained policy, where none is deployed.")
    ] = None,
    base_model: Annotated[str, typer.Option(metavar="NAME", help="The base model where neither is given.")] = "pi0.5",
    act_url: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Another frontend than the deployment's; repeat it.")
    ] = None,
    mode: Annotated[
        Literal["dry_run", "apply_actions"],
        typer.Option(metavar="MODE", help="dry_run, or apply_actions where that is allowed at once."),
    ] = "dry_run",
    client_session_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Your own name for it: asking again gives the same session.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(metavar="SECONDS", min=1, help="End it by then at last.")] = None,
    take_over: Annotated[
        str | None, typer.Option(metavar="REASON", help="Close the session that drives the robot now, and say why.")
    ] = None,
) -> None:
    """Begin a session, and print its id and the credential with which its requests go to the frontend.

    Example:

    \b
      reflex sessions authorize --deployment-id deploy_abc123 --robot-id robot_xyz789
    """
    answer(
        at,
        lambda client: client.authorize_session(
            artifact_id=artifact_id,
            deployment_id=deployment_id,
            robot_id=robot_id,
            base_model=base_model,
            runtime=act_url or None,
            mode=mode,
            client_session_id=client_session_id,
            max_seconds=max_seconds,
            take_over=take_over,
        ),
        _grant_lines,
    )


@sessions.command(short_help="Let a session move its robot.")
@with_control_options
def promote(
    at: ControlOptions,
    session_id: SessionArgument,
    *,
    to: Annotated[
        Literal["apply_actions"], typer.Option("--to", metavar="MODE", help="The mode to reach: apply_actions.")
    ],
) -> None:
    """Let a session move its robot. Exit code 5, and what is in the way, unless its deployment is ready.

    Example:

    \b
      reflex sessions promote sess_abc123 --to apply_actions
    """
    answer(at, lambda client: client.promote_session(session_id, mode=to), lambda promoted: _rows([promoted]))


@sessions.command(short_help="End a session.")
@with_control_options
def close(
    at: ControlOptions,
    session_id: SessionArgument,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the receipt.")] = "cli_closed",
) -> None:
    """End a session. Its credential drives nothing any more, and it never returns to life.

    Example:

    \b
      reflex sessions close sess_abc123 --reason "shift ended"
    """
    answer(at, lambda client: client.close_session(session_id, reason=reason), lambda closed: _rows([closed]))


@sessions.command(name="list", short_help="Show sessions.")
@with_control_options
def list_(
    at: ControlOptions,
    *,
    status: Annotated[
        Literal["dry_run", "apply_actions", "closed", "expired"] | None,
        typer.Option(metavar="STATUS", help="Only those that are dry_run, apply_actions, closed or expired."),
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Only those that began after this one.")] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="So many at most. Default: 1000.")
    ] = None,
) -> None:
    """Show sessions, oldest first: id, status, robot, deployment, what they did, and when they end.

    Example:

    \b
      reflex sessions list --status apply_actions
    """
    found = answer(
        at,
        lambda client: client.list_sessions(status=status, after=after, limit=limit),
        lambda page: _rows(page["sessions"]),
    )
    if not at.as_json and found.get("nextAfter") is not None:
        say(f"more: --after {found['nextAfter']}")


def _rows(found: Iterable[Session]) -> Iterable[str]:
    return table(COLUMNS, [{**each} for each in found])


def _grant_lines(grant: Grant) -> Iterable[str]:
    yield f"session     {grant['sessionId']}"
    yield f"mode        {grant['mode']}"
    yield f"act         {grant.get('actUrl')}"
    yield f"credential  {grant['credential']}"
    yield f"ends        {grant['expiresAt']}; the credential {grant['credentialExpiresAt']}, renewed by heartbeats"
