"""`reflex keys new`: make a key, which is shown this once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.api_keys import KeyEntry, add_entry, check_name, digest_of, new_key
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.key_changes import changing_alone

__all__ = ["hand_out", "new"]


def new(
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is: letters, digits, '.', '_', '-'.")],
    file: Annotated[
        Path | None,
        typer.Option(
            envvar="REFLEX_API_KEYS",
            show_envvar=False,
            metavar="PATH",
            help="The file that `reflex serve --api-keys` reads; made if it is not there. [env: REFLEX_API_KEYS]",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1e6, metavar="PER_S", help="Most requests per second with this key. Default: no limit."
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value instead of the key alone.")] = False,
) -> None:
    """Make a key, print it once, and add its hash to the file. A running server takes it within a second.

    `reflex keys rotate` makes a second one of the same name, `reflex keys revoke` takes keys back.

    Example:

    \b
      reflex keys new --name arm-3 --file reflex.keys
      reflex serve --host 0.0.0.0 --api-keys reflex.keys
    """
    with reported_errors(as_json=as_json):
        check_name(name)
        path = _key_file(file)
        key = new_key()
        entry = KeyEntry(name, digest_of(key.encode()), limit)
        with changing_alone(path):
            add_entry(path, entry)
    hand_out(key, entry, path, as_json=as_json)


def _key_file(given: Path | None) -> Path:
    """The file that was named; `SetupError` without one."""
    if given is None:
        raise SetupError("say which key file: --file FILE, the one of `reflex serve --api-keys FILE`")
    return given


def hand_out(key: str, entry: KeyEntry, path: Path, *, as_json: bool) -> None:
    """Print a new key, on stdout alone; only its hash is stored."""
    say("keep this key: it is shown this once, and only its hash is stored")
    if as_json:
        print_json({"name": entry.name, "key": key, "file": str(path), "limit_per_s": entry.limit_per_s})
    else:
        typer.echo(key)
