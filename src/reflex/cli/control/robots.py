"""`reflex robots`: what a robot is, which there are, and how one gets its own key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.control.answering import answer, reported, table
from reflex.cli.control.heartbeat import heartbeat
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.control.secrets import given_or_read
from reflex.console import say

__all__ = ["robots"]

COLUMNS = ("id", "name", "robotSchemaId", "paired", "online", "lastHeartbeatAt", "sessionId")
SCHEMA_COLUMNS = ("id", "name", "robotKind", "simulation", "createdAt")

KindOption = Annotated[str | None, typer.Option(metavar="KIND", help="What kind of robot it is, like so101.")]

robots = typer.Typer(help="Register robots, and pair them.", no_args_is_help=True, rich_markup_mode=None)


@robots.callback()
def _robots() -> None:
    """Register robots, and pair them."""


@robots.command(name="register-schema", short_help="Register what a robot is.")
@with_control_options
def register_schema(
    at: ControlOptions,
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON or YAML: an embodiment, its cameras and safe_stop.")
    ],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call it, like so101-v1.")],
    robot_kind: KindOption = None,
) -> None:
    """Register what a robot is: axes, units, limits, cameras, and how it comes to a safe stop. Prints the schema's id.

    Example:

    \b
      reflex robots register-schema so101.schema.json --name so101-v1
    """
    from reflex.sdk.files import read_mapping

    with reported(at):
        schema = read_mapping(path)
    answer(
        at,
        lambda client: client.register_robot_schema(name=name, schema=schema, robot_kind=robot_kind),
        lambda made: [made["id"]],
    )


@robots.command(short_help="Show every schema.")
@with_control_options
def schemas(at: ControlOptions) -> None:
    """Show every robot schema: its id, name, kind, whether it is a simulation, and since when it is there.

    Example:

    \b
      reflex robots schemas
    """
    answer(
        at,
        lambda client: client.list_robot_schemas(),
        lambda found: table(SCHEMA_COLUMNS, [{**each} for each in found["robotSchemas"]]),
    )


@robots.command(short_help="Register one machine of a schema.")
@with_control_options
def register(
    at: ControlOptions,
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call it, like lab-arm-01.")],
    robot_schema_id: Annotated[
        str, typer.Option(metavar="ID", help="What it is, as `reflex robots schemas` shows it.")
    ],
    robot_kind: KindOption = None,
    calibration_id: Annotated[
        str | None, typer.Option(metavar="HASH", help="The hash of its calibration file.")
    ] = None,
) -> None:
    """Register one machine of a schema, and print its id.

    Example:

    \b
      reflex robots register --name lab-arm-01 --robot-schema-id schema_abc123
    """
    answer(
        at,
        lambda client: client.register_robot(
            name=name, robot_schema_id=robot_schema_id, robot_kind=robot_kind, calibration_id=calibration_id
        ),
        lambda made: [made["id"]],
    )


@robots.command(name="list", short_help="Show every robot.")
@with_control_options
def list_(at: ControlOptions) -> None:
    """Show every robot: its id, name, schema, whether it is paired and online, and the session that drives it.

    Example:

    \b
      reflex robots list
    """
    answer(
        at, lambda client: client.list_robots(), lambda found: table(COLUMNS, [{**each} for each in found["robots"]])
    )


robots.command(short_help="Say that a robot lives.")(heartbeat)


@robots.command(short_help="Mint a token by which a robot gets its key.")
@with_control_options
def pair(
    at: ControlOptions,
    robot_id: Annotated[str, typer.Argument(metavar="ROBOT_ID", help="As `reflex robots list` shows it.")],
    *,
    ttl_seconds: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="How long it may be claimed: 60 to 86400. Default: 3600.")
    ] = None,
) -> None:
    """Mint a token, and print it once. On the robot, `reflex robots claim` exchanges it for the robot's own key.

    Example:

    \b
      reflex robots pair robot_xyz789 --ttl-seconds 600
    """
    made = answer(
        at,
        lambda client: client.create_pairing_token(robot_id, ttl_seconds=ttl_seconds),
        lambda made: [made["token"]],
    )
    if not at.as_json:
        say(f"it may be claimed once, until {made['expiresAt']}; on the robot: reflex robots claim TOKEN")


@robots.command(short_help="Exchange a token for this robot's key.")
@with_control_options
def claim(
    at: ControlOptions,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Of `reflex robots pair`; - reads it from stdin.")],
) -> None:
    """Exchange a pairing token for the key of this robot, and print the key once. It needs no other key.

    Example:

    \b
      reflex robots claim rfx_pair_abc123
    """
    with reported(at):
        secret = given_or_read(token, "a pairing token")
    claimed = answer(at, lambda client: client.claim_pairing_token(secret), lambda found: [found["key"]])
    if not at.as_json:
        say(f"keep this key: it is shown this once. It is that of {claimed.get('robotName')}, {claimed['robotId']}")
