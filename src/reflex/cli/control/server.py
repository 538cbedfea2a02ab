"""`reflex control`: serve the control plane, and look after its store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption, ServerJsonOption, logs_as_asked, with_parameters
from reflex.console import print_json, reported_errors, say

__all__ = ["control"]

DataOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Folder of the SQLite store. Default: reflex/control in your data folder. [env: REFLEX_CONTROL_DATA]",
    ),
]
DbOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="A PostgreSQL store in its place: postgresql+psycopg://... [env: REFLEX_CONTROL_DB]"
    ),
]

STREAM = Path("-")

control = typer.Typer(
    help="Run the control plane, and look after its store.", no_args_is_help=True, rich_markup_mode=None
)


@control.callback()
def _control() -> None:
    """Run the control plane, and look after its store."""


def _rate(says: str) -> Any:  # noqa: ANN401  # a type that is made here
    return Annotated[float | None, typer.Option(metavar="PER_S", min=0.001, max=1e6, help=says)]


SERVE_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "host": Annotated[
            str | None,
            typer.Option(metavar="HOST", help="Address to listen on. Default: 127.0.0.1. [env: REFLEX_CONTROL_HOST]"),
        ],
        "port": Annotated[
            int | None,
            typer.Option(
                metavar="PORT", min=0, max=65535, help="0 picks a free one. Default: 8100. [env: REFLEX_CONTROL_PORT]"
            ),
        ],
        "data": DataOption,
        "db": DbOption,
        "allowed_hosts": Annotated[
            str | None,
            typer.Option(
                metavar="NAMES",
                help="Names by which it may be called, like control,*.example.org. [env: REFLEX_CONTROL_ALLOWED_HOSTS]",
            ),
        ],
        "rate_limit": _rate("Most requests per second of each key. Default: 100. [env: REFLEX_CONTROL_RATE_LIMIT]"),
        "public_rate_limit": _rate(
            "Most requests per second of each address without a key: logins, claims of pairing tokens. "
            "Default: 10. [env: REFLEX_CONTROL_PUBLIC_RATE_LIMIT]"
        ),
        "public_url": Annotated[
            str | None,
            typer.Option(
                metavar="URL",
                help="What people open in a browser, where it is another address than that of the API. "
                "[env: REFLEX_CONTROL_PUBLIC_URL]",
            ),
        ],
        "trusted_proxies": Annotated[
            str | None,
            typer.Option(
                metavar="NETWORKS",
                help="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, like 10.0.0.7,10.1.0.0/16. "
                "Default: none. [env: REFLEX_CONTROL_TRUSTED_PROXIES]",
            ),
        ],
        "first_key": Annotated[
            bool | None,
            typer.Option(
                "--first-key/--no-first-key",
                help="Whether the first start prints the first key. Without, `reflex control init` makes it. "
                "[env: REFLEX_CONTROL_FIRST_KEY]",
            ),
        ],
        "json_logs": Annotated[
            bool | None,
            typer.Option(
                "--json-logs/--text-logs",
                help="Logs as JSON lines, the default, or text. [env: REFLEX_CONTROL_JSON_LOGS]",
            ),
        ],
    }
)


@control.command(short_help="Serve the control plane over HTTP.")
@with_parameters({**SERVE_OPTIONS, "as_json": ServerJsonOption}, dict.fromkeys(SERVE_OPTIONS) | {"as_json": False})
def serve(*, as_json: bool, **given: object) -> None:
    """Serve the control plane: who may drive which robot with which policy, and the proof.

    The first start on an empty store prints one key that may do everything, once. Ctrl-C finishes what is in flight.

    Example:

    \b
      reflex control serve --data ./control --port 8100
    """
    server = _server_module(as_json=as_json)
    with reported_errors(as_json=as_json):
        code: int = server.serve(given | logs_as_asked(given, as_json=as_json), _hand_out(as_json=as_json))
    raise typer.Exit(code)


@control.command(short_help="Make the store and its first key.")
def init(data: DataOption = None, db: DbOption = None, *, as_json: JsonOption = False) -> None:
    """Make the store and its first key, which is printed once. A server of the store may be running.

    Example:

    \b
      reflex control init --data ./control
    """
    server = _server_module(as_json=as_json)
    with reported_errors(as_json=as_json):
        server.init_store({"data": data, "db": db}, _hand_out(as_json=as_json))


@control.command(short_help="Bring the store of an older Reflex up to date.")
def migrate(data: DataOption = None, db: DbOption = None, *, as_json: JsonOption = False) -> None:
    """Bring the store of an older Reflex up to date. Back it up first.

    Example:

    \b
      reflex control migrate --data ./control
    """
    server = _server_module(as_json=as_json)
    with reported_errors(as_json=as_json):
        server.migrate_store({"data": data, "db": db})
    _done("the store is up to date", as_json=as_json)


@control.command(short_help="Copy the SQLite store, while it is in use.")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - is stdout; with --keep, a folder.")],
    data: DataOption = None,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Name it by the time, and keep the N newest in the folder.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Copy the SQLite store, also of a server that runs. The copy holds the signing keys: keep it safe.

    Example:

    \b
      reflex control backup control-backup.db --data ./control
      reflex control backup ./backups --keep 14
      reflex control backup - | ssh other 'cat > control-backup.db'
    """
    if as_json and file == STREAM:
        raise typer.BadParameter("with - the copy goes to stdout: leave --json out")
    server = _server_module(as_json=as_json)
    with reported_errors(as_json=as_json):
        copy = server.backup_store({"data": data}, file, keep)
    _done("the store is copied" if copy == STREAM else f"the store is copied to {copy}", as_json=as_json, file=copy)


@control.command(short_help="Put a backup in the store's place.")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup; - is stdin.")],
    data: DataOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the store's place. No server may be running on it.

    Example:

    \b
      reflex control restore control-backup.db --data ./control
    """
    server = _server_module(as_json=as_json)
    with reported_errors(as_json=as_json):
        server.restore_store({"data": data}, file)
    told = "the store is what was sent" if file == STREAM else f"the store is what {file} holds"
    _done(told, as_json=as_json, file=file)


@control.command(short_help="Let a new key sign credentials and receipts.")
def rotate_signing_key(data: DataOption = None, db: DbOption = None, *, as_json: JsonOption = False) -> None:
    """Let a new key sign credentials and receipts, while the control plane runs or not.

    What the key before signed stays good: credentials until they expire, receipts for ever. Servers that ask the
    control plane learn the new key by themselves; a keyset that was stored in a file has to be fetched anew at once.

    Example:

    \b
      reflex control rotate-signing-key --data ./control
    """
    server = _server_module(as_json=as_json)
    with reported_errors(as_json=as_json):
        rotated = server.rotate_key({"data": data, "db": db})
    if as_json:
        print_json(rotated)
    else:
        say(f"{rotated['keyId']} signs from now on; the key before is trusted until {rotated['beforeTrustedUntil']}")


def _hand_out(*, as_json: bool) -> Callable[[Any], None]:
    """How the first key is printed, on stdout."""
    return lambda first: print_json(first.as_json()) if as_json else typer.echo(first.as_text())


def _done(sentence: str, *, as_json: bool, file: Path | None = None) -> None:
    if as_json:
        print_json({"done": True, "file": None if file is None else str(file)})
    else:
        say(sentence)


def _server_module(*, as_json: bool) -> Any:  # noqa: ANN401  # a module of another package, known only when it runs
    return load_extra("reflex_control.serve", "control", as_json=as_json, what="the control plane")
