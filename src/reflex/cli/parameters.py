"""Commands whose options stand in a table: Typer reads a command's options from its signature, which is made here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["with_parameters"]

NO_DEFAULTS: Final[Mapping[str, object]] = MappingProxyType({})


def with_parameters(
    annotations: Mapping[str, Any], defaults: Mapping[str, object] = NO_DEFAULTS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a keyword parameter for each annotation; one without a default must be given by the user."""
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
