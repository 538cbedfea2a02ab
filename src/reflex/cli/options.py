"""Options that several commands have, said in the same words, and commands whose options stand in a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

__all__ = [
    "ApiKeyOption",
    "JsonOption",
    "ServerJsonOption",
    "UrlArgument",
    "UrlOption",
    "VerboseOption",
    "logs_as_asked",
    "server_url",
    "with_parameters",
]

ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="REFLEX_API_KEY",
        show_envvar=False,
        metavar="KEY",
        help="For a server that asks for one; better in the environment, where others do not see it. "
        "[env: REFLEX_API_KEY]",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]

ServerJsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="The log as JSON lines, like --json-logs; what keeps it from starting as one JSON value."
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say on stderr what is sent and answered; never a key.")
]
"""Every command has it, by `reflex.cli.root`."""

DEFAULT_URL: Final = "http://localhost:8000"
UrlArgument = Annotated[
    str | None,
    typer.Argument(metavar="URL", help=f"The server, by default {DEFAULT_URL}.", show_default=False),
]
UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The server as well, said as `reflex act` takes it.")
]


def logs_as_asked(given: Mapping[str, object], *, as_json: bool) -> dict[str, object]:
    """What `--json` means to a server: what it announces goes into its log, so its log is JSON."""
    if as_json and given.get("json_logs") is False:
        raise typer.BadParameter("--json makes the log JSON too: give --json or --text-logs, not both")
    return {"json_logs": True} if as_json else {}


NO_DEFAULTS: Final[Mapping[str, object]] = MappingProxyType({})


def server_url(argument: str | None, option: str | None) -> str:
    """The address that was given in one of the two ways, or the default."""
    given = [url for url in (argument, option) if url is not None]
    if len(set(given)) > 1:
        raise typer.BadParameter(f"the server is given twice, as {argument} and as --url {option}; give one")
    return given[0] if given else DEFAULT_URL


def with_parameters(
    annotations: Mapping[str, Any], defaults: Mapping[str, object] = NO_DEFAULTS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a keyword parameter for each annotation: what Typer reads its options from.

    One without a default must be given by the user.
    """
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(name, inspect.Parameter.empty),
            annotation=annotation,
        )
        for name, annotation in annotations.items()
    ]

    def changed(command: Callable[..., None]) -> Callable[..., None]:
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = dict(annotations)
        return command

    return changed
