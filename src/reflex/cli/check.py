"""`reflex check`: does a running server answer `/act`?"""

from __future__ import annotations

from typing import Annotated

import typer

from reflex.cli.act import JsonOption
from reflex.cli.options import ApiKeyOption, UrlArgument, UrlOption, server_url
from reflex.console import print_json, reported_errors, show

__all__ = ["check"]


def check(
    url: UrlArgument = None,
    *,
    url_option: UrlOption = None,
    deadline_ms: Annotated[
        int, typer.Option(metavar="MS", min=1, help="Total time, waiting for a warming server included.")
    ] = 10_000,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a running server for one chunk, with an observation made up to fit its policy, and look at the numbers.

    Exit code 1, and the reason, unless a finite chunk of the policy's own shape comes back. No robot takes part.

    Example:

    \b
      reflex check http://127.0.0.1:9000
    """
    from reflex.client import ReflexClient
    from reflex.client.check import check_server

    url = server_url(url, url_option)
    with (
        reported_errors(as_json=as_json),
        ReflexClient(url, deadline_s=deadline_ms / 1000, api_key=api_key) as client,
    ):
        checked = check_server(client)
    policy, answer = checked.policy, checked.answer
    if as_json:
        print_json(answer)
        return
    show(
        f"passed: {url} answers /act: {policy.horizon} x {policy.action_dim} finite values of {policy.policy_id}, "
        f"in {answer['latency_ms']:.1f} ms"
    )
