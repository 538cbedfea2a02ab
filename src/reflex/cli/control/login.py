"""`reflex login`, `reflex logout` and `reflex whoami`: the key that this machine uses."""

from __future__ import annotations

import contextlib
import platform
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reflex.cli.control.answering import answer, reported
from reflex.cli.control.browser import has_browser, open_page
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.control.secrets import given_or_read
from reflex.cli.interrupted import interruption_told
from reflex.console import print_json, say
from reflex.errors import ReflexError
from reflex.interruption import undisturbed
from reflex.printable import printable

if TYPE_CHECKING:
    from reflex.control.objects import WhoAmI

__all__ = ["login", "logout", "whoami"]

MAX_NAME_CHARACTERS: Final = 100
LAST_WORD_S: Final = 2.0
NOTHING_LEFT: Final = "interrupted; nothing was stored, and the code is void"


@with_control_options
def login(
    at: ControlOptions,
    *,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the dashboard where there is a browser.")
    ] = True,
) -> None:
    """Log in: an admin confirms the code that is shown, and the key is stored for this user. Ctrl-C stops waiting.

    `--api-key -` reads a key from standard input instead. It is stored once the control plane has recognised it.

    Example:

    \b
      reflex login --convex-url http://127.0.0.1:8100
    """
    with reported(at):
        from reflex.control.opening import find_address, find_key

        url = find_address(at.convex_url)
        with interruption_told(lambda: NOTHING_LEFT, as_json=at.as_json):
            given = None if at.api_key is None else given_or_read(at.api_key, "a key")
            key = _confirmed_key(url, opens_browser=browser) if given is None else given
            with _taken_back_on_failure(url, key if given is None else None):
                found = _whose(url, key)
        with undisturbed(), _taken_back_on_failure(url, key if given is None else None):
            path = _stored(url, key)
        in_use = find_key()
    if at.as_json:
        print_json({**found, "file": str(path), "backendUrl": url})
    else:
        say(f"logged in to {url} as {_described(found)}; the key is in {path}")
    if in_use.api_key != key:
        say(f"{in_use.api_key_origin} is set, and counts for more than the key that was stored: unset it")


@with_control_options
def logout(
    at: ControlOptions,
    *,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take the key back, too: it works nowhere any more.")
    ] = False,
) -> None:
    """Forget the stored key.

    Example:

    \b
      reflex logout --revoke
    """
    with reported(at):
        from reflex.access.credentials_file import forget_credentials
        from reflex.control.opening import open_client, where_a_login_is_stored

        if revoke:
            with open_client(at.api_key, convex_url=at.convex_url) as client:
                client.revoke_key(client.whoami()["key"]["id"], reason="logout")
        path = where_a_login_is_stored()
        is_forgotten = forget_credentials(path)
    if at.as_json:
        print_json({"file": str(path), "forgotten": is_forgotten, "revoked": revoke})
    else:
        say(f"{path} is removed" if is_forgotten else f"there was no {path}: nothing to forget")


@with_control_options
def whoami(at: ControlOptions) -> None:
    """Say whose key is in use, and what it may do. Exit code 3 when there is none, or it is rejected.

    Example:

    \b
      reflex whoami
    """
    answer(at, lambda client: client.whoami(), lambda found: [_described(found)])


def _confirmed_key(url: str, *, opens_browser: bool) -> str:
    from reflex.control import ControlClient
    from reflex.control.device_login import wait_for_key

    with ControlClient(url) as client:
        begun = client.start_device_login(client_name=f"reflex on {_name_of_this_machine()}")
        try:
            say(f"open {begun['verificationUrl']} and confirm the code {begun['userCode']}")
            say(f"or let an admin run: reflex keys confirm {shlex.quote(begun['userCode'])}")
            if opens_browser and has_browser():
                open_page(begun["verificationUrl"])
            return wait_for_key(client, begun, tell=say)
        except BaseException:
            _withdraw(url, begun["deviceCode"])
            raise


def _name_of_this_machine() -> str:
    """As an admin is shown it: whatever it is, it must not keep anybody from logging in."""
    return printable(platform.node())[:MAX_NAME_CHARACTERS] or "this machine"


def _withdraw(url: str, device_code: str) -> None:
    """So that nobody confirms what nobody waits for. Whoever pressed Ctrl-C does not wait for it long."""
    from reflex.control import ControlClient

    with contextlib.suppress(ReflexError), ControlClient(url, deadline_s=LAST_WORD_S) as client:
        client.cancel_device_login(device_code)


@contextlib.contextmanager
def _taken_back_on_failure(url: str, key: str | None) -> Iterator[None]:
    """A key that was made for this login and is in no file would be nobody's."""
    from reflex.control import ControlClient

    try:
        yield
    except BaseException:
        if key is not None:
            with contextlib.suppress(ReflexError), ControlClient(url, api_key=key, deadline_s=LAST_WORD_S) as client:
                client.revoke_key(client.whoami()["key"]["id"], reason="the login could not be stored")
        raise


def _whose(url: str, key: str) -> WhoAmI:
    """`KeyRejectedError` unless the control plane recognises it."""
    from reflex.control import ControlClient

    with ControlClient(url, api_key=key) as client:
        return client.whoami()


def _stored(url: str, key: str) -> Path:
    from reflex.access.credentials_file import Credentials, write_credentials
    from reflex.control.opening import where_a_login_is_stored

    path = where_a_login_is_stored()
    write_credentials(path, Credentials(api_key=key, backend_url=url))
    return path


def _described(found: WhoAmI) -> str:
    key, organisation = found["key"], found["organisation"]
    scopes = ", ".join(key["scopes"]) or f"robot {key.get('robotId')}"
    return f"{key['name']} ({key['id']}) of {organisation['name']} ({organisation['id']}): {scopes}"
