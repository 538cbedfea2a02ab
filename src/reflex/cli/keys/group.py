"""The group `reflex keys`, and its commands that show and take back keys."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from reflex.api_keys import KeyEntry, add_entry, digest_of, new_key
from reflex.cli.keys.new import FileOption, hand_out, key_file, new
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.key_changes import changing_alone, read_entries, revoke

__all__ = ["keys"]

ID_CHARACTERS = 8
"""Of the stored hash: tells two keys of one name apart, and says nothing of the key."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose key, as `reflex keys list` shows it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]

keys = typer.Typer(help="Make, show and take back API keys of a server.", no_args_is_help=True, rich_markup_mode=None)


@keys.callback()
def _keys() -> None:
    """Make, show and take back API keys of a server."""


keys.command(short_help="Make a key, and add its hash to a file.")(new)


@keys.command(name="list", short_help="Show whose keys a file holds.")
def list_(file: FileOption = None, *, as_json: JsonOption = False) -> None:
    """Show whose keys the file holds, oldest first, with the limit of each; never a key.

    Example:

    \b
      reflex keys list --file reflex.keys
    """
    with reported_errors(as_json=as_json):
        path = key_file(file)
        entries = read_entries(path)
    if as_json:
        print_json({"file": str(path), "keys": [_shown(entry) for entry in entries]})
        return
    if not entries:
        say(f"{path} holds no key: a server with this file lets nobody in")
    for entry in entries:
        limit = "no limit" if entry.limit_per_s is None else f"{entry.limit_per_s:g} per second"
        typer.echo(f"{entry.name}  {_id(entry)}  {limit}")


@keys.command(name="revoke", short_help="Take the keys of one name back.")
def revoke_(
    name: NameArgument,
    file: FileOption = None,
    *,
    keep_newest: Annotated[
        bool, typer.Option("--keep-newest", help="Only the older ones, once a rotated key is in use.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back every key of this name. A running server refuses them within a second.

    Example:

    \b
      reflex keys revoke arm-3 --file reflex.keys
    """
    with reported_errors(as_json=as_json):
        path = key_file(file)
        count = revoke(path, name, keep_newest=keep_newest)
    if as_json:
        print_json({"name": name, "revoked": count, "file": str(path)})
        return
    say(f"took back {count} {'key' if count == 1 else 'keys'} of {name}; a running server refuses them within a second")


@keys.command(short_help="Make a new key for a name that has one.")
def rotate(name: NameArgument, file: FileOption = None, *, as_json: JsonOption = False) -> None:
    """Make a second key of the same name and limit, and print it once. The old one works until it is revoked.

    Example:

    \b
      reflex keys rotate arm-3 --file reflex.keys
      reflex keys revoke arm-3 --keep-newest --file reflex.keys
    """
    with reported_errors(as_json=as_json):
        path = key_file(file)
        with changing_alone(path):
            old = [entry for entry in read_entries(path) if entry.name == name]
            if not old:
                raise SetupError(f"{path} has no key of {name}; `reflex keys new --name {name}` makes its first one")
            key = new_key()
            entry = KeyEntry(name, digest_of(key.encode()), old[-1].limit_per_s)
            add_entry(path, entry)
    if not as_json:
        revoke = shlex.join(["reflex", "keys", "revoke", name, "--keep-newest", "--file", str(path)])
        say(f"the old key works on; once the new one is in use: {revoke}")
    hand_out(key, entry, path, as_json=as_json)


def _id(entry: KeyEntry) -> str:
    return entry.digest.hex()[:ID_CHARACTERS]


def _shown(entry: KeyEntry) -> dict[str, object]:
    return {"name": entry.name, "id": _id(entry), "limit_per_s": entry.limit_per_s}
