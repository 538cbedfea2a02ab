"""Options that several commands have, said in the same words, and commands whose options stand in a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

__all__ = ["ApiKeyOption", "with_parameters"]

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

NO_DEFAULTS: Final[Mapping[str, object]] = MappingProxyType({})


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
