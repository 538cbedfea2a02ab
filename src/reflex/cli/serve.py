"""`reflex serve`: the options of the server; what is not given comes from the environment, then from the defaults."""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Final

import typer

from reflex.cli.options import with_parameters
from reflex.console import EXIT_FAILED, reported_errors, say
from reflex.serve_options import SERVE_OPTIONS, ServeOption
from reflex.wording.install import install_line

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


@with_parameters(ANNOTATIONS, dict.fromkeys(ANNOTATIONS))
def serve(**options: object) -> None:
    """Serve a policy over HTTP: POST /act, GET /health, /config and /metrics.

    Without options: the demo policy on an embedded Triton, at http://127.0.0.1:8000. Ctrl-C finishes what is in flight
    and stops everything that was started. An option given here wins over its environment variable.

    Example:

    \b
      reflex serve --model-repository models --policy pick_cup --port 9000
    """
    server = _server_module()
    with reported_errors(as_json=False):
        code: int = server.serve({name: value for name, value in options.items() if value is not None})
    raise typer.Exit(code)


def _server_module() -> Any:  # noqa: ANN401  # a module of another package, known only when the command runs
    try:
        return importlib.import_module("reflex_frontend.serve")
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.partition(".")[0].startswith("reflex"):
            raise  # a broken installation of our own, which no extra repairs
        say(f"reflex: serving needs the package {exc.name}, which is not installed; run: {install_line(*SERVE_EXTRAS)}")
        raise typer.Exit(EXIT_FAILED) from exc
