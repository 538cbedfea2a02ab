"""The group `reflex keys`: keys of a server's file, where one is named, and else those of the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.control.answering import EXIT_AUTHENTICATION
from reflex.cli.control.keys import confirm, create, list_keys, revoke_key, rotate_key
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.keys.file_keys import list_entries, revoke_entries, rotate_entry
from reflex.cli.keys.new import new
from reflex.console import say

__all__ = ["keys"]

FILE_VARIABLE = "REFLEX_API_KEYS"
OVERLAP_S = 3600

FileOption = Annotated[
    Path | None,
    typer.Option(
        envvar=FILE_VARIABLE,
        show_envvar=False,
        metavar="PATH",
        help="The file that `reflex serve --api-keys` reads; without one it is the control plane's keys. "
        "[env: REFLEX_API_KEYS]",
    ),
]
NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="As `reflex keys list` shows it: a name of the file, or the control plane's id."
    ),
]

keys = typer.Typer(help="Make, show and take back API keys.", no_args_is_help=True, rich_markup_mode=None)


@keys.callback()
def _keys() -> None:
    """Make, show and take back API keys: those of a server's file, with --file, and those of the control plane."""


keys.command(short_help="Make a key, and add its hash to a file.")(new)
keys.command(short_help="Make a key of the control plane.")(create)
keys.command(short_help="Confirm the code of a `reflex login`.")(confirm)


@keys.command(name="list", short_help="Show whose keys there are.")
@with_control_options
def list_(at: ControlOptions, ctx: typer.Context, file: FileOption = None) -> None:
    """Show whose keys there are, never a key: those of the file with their limits, else those of the control plane.

    Example:

    \b
      reflex keys list --file reflex.keys
    """
    path = _chosen_file(ctx, at, file)
    if path is None:
        with _file_named_without_a_key():
            list_keys(at)
    else:
        list_entries(path, as_json=at.as_json)


@keys.command(name="revoke", short_help="Take a key back.")
@with_control_options
def revoke_(
    at: ControlOptions,
    ctx: typer.Context,
    name: NameArgument,
    file: FileOption = None,
    *,
    keep_newest: Annotated[
        bool, typer.Option("--keep-newest", help="Of a file: only the older ones, once a rotated key is in use.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the control plane: why; it stands in the receipt.")
    ] = None,
) -> None:
    """Take back every key of a name of the file, or one of the control plane. It is refused within a second.

    Example:

    \b
      reflex keys revoke arm-3 --file reflex.keys
    """
    path = _chosen_file(ctx, at, file)
    if path is None:
        _refuse(ctx, "keep_newest", "--keep-newest is for the keys of a file, with --file")
        with _file_named_without_a_key():
            revoke_key(at, name, reason)
    else:
        _refuse(ctx, "reason", "--reason is for a key of the control plane, without --file")
        revoke_entries(path, name, keep_newest=keep_newest, as_json=at.as_json)


@keys.command(short_help="Make a new key in place of one.")
@with_control_options
def rotate(
    at: ControlOptions,
    ctx: typer.Context,
    name: NameArgument,
    file: FileOption = None,
    *,
    overlap_seconds: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=0, help="Of the control plane: how long the old one works on."),
    ] = OVERLAP_S,
) -> None:
    """Make a second key of the same name, limit or scopes, and print it once.

    The old one of a file works until it is revoked, that of the control plane for --overlap-seconds.

    Example:

    \b
      reflex keys rotate arm-3 --file reflex.keys
      reflex keys revoke arm-3 --keep-newest --file reflex.keys
    """
    path = _chosen_file(ctx, at, file)
    if path is None:
        with _file_named_without_a_key():
            rotate_key(at, name, overlap_seconds)
    else:
        _refuse(ctx, "overlap_seconds", "--overlap-seconds is for a key of the control plane, without --file")
        rotate_entry(path, name, as_json=at.as_json)


def _chosen_file(ctx: typer.Context, at: ControlOptions, file: Path | None) -> Path | None:
    """The file whose keys are meant, None for the control plane's. An option counts for more than a variable."""
    if file is None or not at.name_a_control_plane:
        return file
    if _was_given(ctx, "file"):
        raise typer.BadParameter(
            "--file means the keys of a file, --api-key and --convex-url those of the control plane"
        )
    return None


@contextmanager
def _file_named_without_a_key() -> Iterator[None]:
    """Who forgot --file is not helped by a login."""
    try:
        yield
    except typer.Exit as ended:
        if ended.exit_code == EXIT_AUTHENTICATION:
            say("for the keys of a server's file: --file FILE, the one of `reflex serve --api-keys FILE`")
        raise


def _refuse(ctx: typer.Context, parameter: str, why: str) -> None:
    if _was_given(ctx, parameter):
        raise typer.BadParameter(why)


def _was_given(ctx: typer.Context, parameter: str) -> bool:
    """On the command line itself."""
    source = ctx.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
