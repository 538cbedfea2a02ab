"""The keys of a file, shown, taken back and replaced: those of a server with `reflex serve --api-keys`."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from reflex.api_keys import KeyEntry, add_entry, digest_of, new_key
from reflex.cli.keys.new import hand_out
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.key_changes import changing_alone, read_entries, revoke

__all__ = ["list_entries", "revoke_entries", "rotate_entry"]

ID_CHARACTERS = 8
"""Of the stored hash: tells two keys of one name apart, and says nothing of the key."""


def list_entries(path: Path, *, as_json: bool) -> None:
    with reported_errors(as_json=as_json):
        entries = read_entries(path)
    if as_json:
        print_json({"file": str(path), "keys": [_shown(entry) for entry in entries]})
        return
    if not entries:
        say(f"{path} holds no key: a server with this file lets nobody in")
    for entry in entries:
        limit = "no limit" if entry.limit_per_s is None else f"{entry.limit_per_s:g} per second"
        typer.echo(f"{entry.name}  {_id(entry)}  {limit}")


def revoke_entries(path: Path, name: str, *, keep_newest: bool, as_json: bool) -> None:
    with reported_errors(as_json=as_json):
        count = revoke(path, name, keep_newest=keep_newest)
    if as_json:
        print_json({"name": name, "revoked": count, "file": str(path)})
        return
    say(f"took back {count} {'key' if count == 1 else 'keys'} of {name}; a running server refuses them within a second")


def rotate_entry(path: Path, name: str, *, as_json: bool) -> None:
    with reported_errors(as_json=as_json), changing_alone(path):
        old = [entry for entry in read_entries(path) if entry.name == name]
        if not old:
            raise SetupError(f"{path} has no key of {name}; `reflex keys new --name {name}` makes its first one")
        key = new_key()
        entry = KeyEntry(name, digest_of(key.encode()), old[-1].limit_per_s)
        add_entry(path, entry)
    if not as_json:
        revoking = shlex.join(["reflex", "keys", "revoke", name, "--keep-newest", "--file", str(path)])
        say(f"the old key works on; once the new one is in use: {revoking}")
    hand_out(key, entry, path, as_json=as_json)


def _id(entry: KeyEntry) -> str:
    return entry.digest.hex()[:ID_CHARACTERS]


def _shown(entry: KeyEntry) -> dict[str, object]:
    return {"name": entry.name, "id": _id(entry), "limit_per_s": entry.limit_per_s}
