"""`reflex login`, `reflex logout` and `reflex whoami`: the key that this machine uses."""

from __future__ import annotations

import contextlib
import platform
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.control.answering import answer, reported
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.control.secrets import given_or_read
from reflex.console import print_json, say

if TYPE_CHECKING:
    from reflex.control import ControlClient
    from reflex.control.objects import WhoAmI

__all__ = ["login", "logout", "whoami"]


@with_control_options
def login(
    at: ControlOptions,
    *,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the dashboard where there is a browser.")
    ] = True,
) -> None:
    """Log in: confirm a code on the dashboard, and the key is stored for this user. Ctrl-C stops waiting.

    `--api-key -` reads a key from standard input instead. It is stored once the control plane has recognised it.

    Example:

    \b
      reflex login --convex-url http://127.0.0.1:8100
    """
    with reported(at):
        from reflex.access.credentials_file import Credentials, write_credentials
        from reflex.control import ControlClient
        from reflex.control.opening import find_address, where_a_login_is_stored

        url = find_address(at.convex_url)
        if at.api_key is not None:
            key = given_or_read(at.api_key, "a key")
        else:
            with ControlClient(url) as client:
                key = _confirmed_key(client, opens_browser=browser)
        with ControlClient(url, api_key=key) as client:
            found = client.whoami()
        path = where_a_login_is_stored()
        write_credentials(path, Credentials(api_key=key, backend_url=url))
    if at.as_json:
        print_json({**found, "file": str(path), "backendUrl": url})
    else:
        say(f"logged in to {url} as {_described(found)}; the key is in {path}")


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


def _confirmed_key(client: ControlClient, *, opens_browser: bool) -> str:
    from reflex.control.device_login import wait_for_key

    begun = client.start_device_login(client_name=f"reflex on {platform.node() or 'this machine'}")
    say(f"open {begun['verificationUrl']} and confirm the code {begun['userCode']}")
    if opens_browser and begun["verificationUrl"].startswith(("http://", "https://")):
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(begun["verificationUrl"])
    return wait_for_key(client, begun)


def _described(found: WhoAmI) -> str:
    key, organisation = found["key"], found["organisation"]
    scopes = ", ".join(key["scopes"]) or f"robot {key.get('robotId')}"
    return f"{key['name']} ({key['id']}) of {organisation['name']} ({organisation['id']}): {scopes}"
