"""`reflex keys`: make API keys for `reflex serve --api-keys`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.api_keys import KeyEntry, add_entry, check_name, digest_of, new_key
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError

__all__ = ["keys"]

keys = typer.Typer(help="Make API keys for a server.", no_args_is_help=True, rich_markup_mode=None)


@keys.callback()
def _keys() -> None:
    """Make API keys for a server."""


@keys.command(short_help="Make a key, and add its hash to a file.")
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

    To take a key back, remove its line. To replace one, make a second of the same name and remove the first line later.
    """  # fmt: skip
    with reported_errors(as_json=as_json):
        check_name(name)
        if file is None:
            raise SetupError("say which file the key goes into: --file FILE, the one of `reflex serve --api-keys FILE`")
        key = new_key()
        add_entry(file, KeyEntry(name, digest_of(key.encode()), limit))
    say("keep this key: it is shown this once, and only its hash is stored")
    if as_json:
        print_json({"name": name, "key": key, "file": str(file), "limit_per_s": limit})
    else:
        typer.echo(key)
