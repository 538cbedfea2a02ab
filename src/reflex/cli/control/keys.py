"""`reflex keys` of a control plane: made, replaced and taken back there. Those of a file are in `reflex.cli.keys`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reflex.cli.control.answering import answer, table
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import say

__all__ = ["confirm", "create", "list_keys", "revoke_key", "rotate_key"]

COLUMNS = ("id", "name", "kind", "scopes", "createdAt", "expiresAt", "revokedAt", "lastUsedAt")
KEEP = "keep this key: it is shown this once, and only its hash is stored"


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    WRITE = "write"
    SESSIONS = "sessions"
    PROMOTE = "promote"
    TRAIN = "train"
    ADMIN = "admin"


@with_control_options
def create(
    at: ControlOptions,
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[Scope],
        typer.Option(metavar="SCOPE", help=f"What it may do: {', '.join(Scope)}; repeat it."),
    ],
    expires_in_seconds: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=1, help="How long it works. Default: until it is revoked.")
    ] = None,
) -> None:
    """Make a key of the control plane, of some of your own scopes, and print it once.

    Example:

    \b
      reflex keys create --name dashboards --scope read
    """
    answer(
        at,
        lambda client: client.create_key(
            name=name, scopes=[each.value for each in scope], expires_in_seconds=expires_in_seconds
        ),
        lambda made: [made["key"]],
    )
    if not at.as_json:
        say(KEEP)


@with_control_options
def confirm(
    at: ControlOptions,
    code: Annotated[str, typer.Argument(metavar="CODE", help="As the machine shows it that runs `reflex login`.")],
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            metavar="SCOPE",
            help=f"What its key may do: {', '.join(Scope)}; repeat it. Default: what yours may, but promote and admin.",
        ),
    ] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Give it no key, and tell it.")] = False,
) -> None:
    """Confirm the code of a login, and the machine that shows it takes a key. Only a code that you read there yourself.

    Example:

    \b
      reflex keys confirm BCDF-GHJK --scope read --scope sessions
    """
    if refuse and scope:
        raise typer.BadParameter("a login that is refused gets no scope: give --refuse or --scope, not both")
    scopes = [each.value for each in scope] if scope else None
    answer(
        at,
        lambda client: client.refuse_device_login(code) if refuse else client.confirm_device_login(code, scopes=scopes),
        lambda login: [
            f"{login['userCode']}  {login['clientName']}  {login['status']}  {','.join(login['scopes']) or '-'}"
        ],
    )


def list_keys(at: ControlOptions) -> None:
    answer(at, lambda client: client.list_keys(), lambda found: table(COLUMNS, [{**each} for each in found["keys"]]))


def rotate_key(at: ControlOptions, key_id: str, overlap_seconds: int) -> None:
    answer(
        at,
        lambda client: client.rotate_key(key_id, overlap_seconds=overlap_seconds),
        lambda made: [made["key"]],
    )
    if not at.as_json:
        say(f"{KEEP}. The old one works for {overlap_seconds} s more")


def revoke_key(at: ControlOptions, key_id: str, reason: str | None) -> None:
    answer(
        at,
        lambda client: client.revoke_key(key_id, reason=reason),
        lambda revoked: [f"{revoked['id']}  {revoked['name']}  revoked at {revoked['revokedAt']}"],
    )
