"""`reflex slots`, `reflex split` and `reflex replace`: what a running server serves, and changing it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from reflex.admin import DEFAULT_PORT, read_admin
from reflex.cli.interrupted import interruption_told
from reflex.cli.options import JsonOption
from reflex.cli.root import UsageError
from reflex.console import print_json, reported_errors, say, show
from reflex.errors import SetupError

__all__ = ["AdminCommand", "replace", "slots", "split"]

CONNECT_S = 2.0
REPLACE_S = 900.0
"""A large engine from a slow disk, its canary, and the probation after the switch."""
GOES_ON = "interrupted; the server goes on with the change: `reflex slots` says how it ends"

NO_URL = (
    "this command takes no address: it reaches a server of this machine by its --admin-port, by default "
    f"{DEFAULT_PORT}; for another machine run it there"
)

AdminPort = Annotated[
    int, typer.Option(min=1, max=65535, help="The server's --admin-port.", show_default=True, metavar="PORT")
]


class AdminCommand(TyperCommand):
    """Tells whoever gives a server's address, as other commands take it, what these go by."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Click's
        given = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except UsageError as exc:
            if any(each.startswith("--url") or "://" in each for each in given):
                raise typer.BadParameter(NO_URL, ctx=ctx) from exc
            raise


def slots(*, admin_port: AdminPort = DEFAULT_PORT, as_json: JsonOption = False) -> None:
    """Show which policy each slot of the running server has, the split between them, and the shadow.

    Example:

    \b
      reflex slots --admin-port 8090
    """
    with reported_errors(as_json=as_json):
        _show(_call("GET", "/slots", admin_port, None), as_json=as_json)


def split(
    percent: Annotated[
        int, typer.Argument(min=0, max=100, metavar="PERCENT", help="Share of the episodes that slot a gets.")
    ],
    *,
    admin_port: AdminPort = DEFAULT_PORT,
    as_json: JsonOption = False,
) -> None:
    """Change the split of the running server. Episodes move to their new slot with their next request.

    Example:

    \b
      reflex split 90
    """
    with reported_errors(as_json=as_json):
        _show(_call("POST", "/split", admin_port, {"split": percent}), as_json=as_json)


def replace(
    slot: Annotated[Literal["a", "b"], typer.Argument(metavar="SLOT", help="a or b.")],
    policy: Annotated[str, typer.Argument(metavar="NAME", help="The new policy, by its name in the repository.")],
    *,
    admin_port: AdminPort = DEFAULT_PORT,
    as_json: JsonOption = False,
) -> None:
    """Serve another policy in a slot of the running server, without a pause.

    It is loaded and must answer its canary before it gets a request; if it fails in its first seconds, the old policy
    is back. Returns when that is decided.

    Example:

    \b
      reflex replace b pick_cup_2
    """
    with interruption_told(lambda: GOES_ON, as_json=as_json), reported_errors(as_json=as_json):
        if not as_json:
            say(f"loading {policy}; it serves once its canary is right, and the old one is kept a while")
        _show(_call("POST", f"/slots/{slot}", admin_port, {"policy": policy}), as_json=as_json)


def _call(method: str, path: str, port: int, body: dict[str, Any] | None) -> dict[str, Any]:
    import httpx

    address = read_admin(port)
    try:
        with httpx.Client(timeout=httpx.Timeout(REPLACE_S, connect=CONNECT_S), trust_env=False) as client:
            response = client.request(
                method, address.url + path, json=body, headers={"Authorization": f"Bearer {address.token}"}
            )
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise SetupError(
                f"the server's admin port {port} is busy with other connections; try again in a few seconds"
            )
        answer: dict[str, Any] = response.json()
    except (httpx.HTTPError, ValueError) as exc:
        raise SetupError(
            f"the server's admin port {port} does not answer ({type(exc).__name__}); is it running?"
        ) from exc
    if response.status_code != httpx.codes.OK:
        raise SetupError(str(answer.get("message", "the server refused")))
    return answer


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    shares = {"a": answer["split"], "b": 100 - answer["split"]}
    for name, slot in answer["slots"].items():
        show(f"{name}  {slot['model_version']}  {shares[name]} %  {_state(slot)}")
    if shadow := answer.get("shadow"):
        show(f"shadow  {shadow['model_version']}  {_state(shadow)}")


def _state(shown: dict[str, Any]) -> str:
    return f"{shown['status']}: {shown['reason']}" if shown["reason"] else str(shown["status"])
