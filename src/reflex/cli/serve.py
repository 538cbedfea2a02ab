"""`reflex serve`: the options of the server; what is not given comes from the environment, then from the defaults."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import ServerJsonOption, logs_as_asked, with_parameters
from reflex.console import reported_errors
from reflex.serve_options import SERVE_OPTIONS, ServeOption

__all__ = ["serve"]

SERVE_EXTRAS: Final = ("serve", "embedded")


def _annotation(option: ServeOption) -> Any:  # noqa: ANN401  # a type that is made here
    # None means "not given": the server's settings then read the variable named in the help, and know the default.
    declared = () if option.flags is None else (option.flags,)
    shown = typer.Option(
        *declared,
        metavar=option.metavar,
        min=option.least,
        max=option.most,
        help=f"{option.help} [env: {option.variable}]",
    )
    return Annotated[option.kind | None, shown]


ANNOTATIONS: Final = {option.name: _annotation(option) for option in SERVE_OPTIONS}


@with_parameters(ANNOTATIONS | {"as_json": ServerJsonOption}, dict.fromkeys(ANNOTATIONS) | {"as_json": False})
def serve(*, as_json: bool, **options: object) -> None:
    """Serve a policy over HTTP: POST /act, GET /health, /config and /metrics.

    Without options: the demo policy on an embedded Triton, at http://127.0.0.1:8000. Ctrl-C finishes what is in flight
    and stops everything that was started. An option given here wins over its environment variable.

    Example:

    \b
      reflex serve --model-repository models --policy pick_cup --port 9000
    """
    given = {name: value for name, value in options.items() if value is not None}
    server = load_extra("reflex_frontend.serve", *SERVE_EXTRAS, as_json=as_json, what="serving")
    with reported_errors(as_json=as_json):
        code: int = server.serve(given | logs_as_asked(given, as_json=as_json))
    raise typer.Exit(code)
