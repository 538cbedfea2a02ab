"""What every command of the control plane takes, by one decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, get_type_hints

import typer

from reflex.cli.options import JsonOption

__all__ = ["CONTROL_OPTIONS", "ControlOptions", "with_control_options"]


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Where to ask, as whom, and how to say what comes of it."""

    api_key: str | None = field(default=None, repr=False)
    convex_url: str | None = None
    as_json: bool = False

    @property
    def name_a_control_plane(self) -> bool:
        return self.api_key is not None or self.convex_url is not None


CONTROL_OPTIONS: Final[Mapping[str, tuple[object, Any]]] = MappingProxyType(
    {
        "api_key": (
            None,
            Annotated[
                str | None,
                typer.Option(
                    "--api-key",
                    metavar="KEY",
                    help="Your key; better in the environment, where others do not see it. Default: the one of "
                    "`reflex login`. [env: REFLEX_API_KEY]",
                ),
            ],
        ),
        "convex_url": (
            None,
            Annotated[
                str | None,
                typer.Option(
                    "--convex-url",
                    "--backend-url",
                    metavar="URL",
                    help="The control plane. Default: the one of `reflex login`, else http://127.0.0.1:8100. "
                    "[env: REFLEX_CONVEX_URL]",
                ),
            ],
        ),
        "as_json": (False, JsonOption),
    }
)


def with_control_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the three options; it takes them as its first argument, a `ControlOptions`."""
    first, *own = inspect.signature(command).parameters.values()
    hints = get_type_hints(command, include_extras=True)

    def wrapped(**given: Any) -> None:  # noqa: ANN401 - what Typer read, by the annotations below
        shared = {name: given.pop(name) for name in CONTROL_OPTIONS}
        command(**{first.name: ControlOptions(**shared)}, **given)

    parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own] + [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (default, annotation) in CONTROL_OPTIONS.items()
    ]
    vars(wrapped)["__signature__"] = inspect.Signature(parameters)
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    return wrapped
