"""How every command speaks: results on stdout, text for people on stderr, one JSON value with `--json`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer

from reflex.errors import NO_SUCH_ROUTE, ReflexError, ServiceError, UnauthorizedError
from reflex.printable import escaped_in_json, printable_lines

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "columns",
    "error_as_json",
    "print_json",
    "reported_errors",
    "say",
    "show",
    "told_as_json",
]

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
KEY_HINT: Final = (
    "set REFLEX_API_KEY, or --api-key, to a key of `reflex keys new`; "
    "where the server asks for sessions, to a credential of `reflex sessions authorize`"
)
ADDRESS_HINT: Final = "no server of policies answers there: give the address that `reflex serve` says it is ready at"
WIDE: Final = (1000, 24)


def columns() -> int:
    """How wide what is printed may be. What is no terminal, a file or a pipe, gets the whole of it."""
    return shutil.get_terminal_size(WIDE).columns


def say(text: str) -> None:
    """Print one line for a person. Whatever of it is not ours, like a server's message, moves no terminal."""
    typer.echo(printable_lines(text), err=True)


def show(text: str) -> None:
    """Print one line of a result, as `say` does."""
    typer.echo(printable_lines(text))


def print_json(value: object) -> None:
    """Print the one JSON value of a `--json` run."""
    typer.echo(escaped_in_json(json.dumps(value, ensure_ascii=False)))


def error_as_json(error: ReflexError, *, of_policies: bool = True) -> dict[str, Any]:
    """`error` first, then what a person reads, then whatever else is known of it.

    `of_policies` says whether a server of policies was asked: what it takes for a key is hinted at.
    """
    if not isinstance(error, ServiceError):
        return told_as_json(error.code, str(error), getattr(error, "hint", None))
    told = error.context.get("hint")
    hint = told if isinstance(told, str) else getattr(error, "hint", None)
    if hint is None and of_policies:
        hint = _hint_of(error)
    first = told_as_json(error.code, error.message, hint, error.request_id)
    context = dict(error.context)
    if error.retry_after_s is not None:
        context["retry_after_s"] = round(error.retry_after_s, 3)
    return first | {name: value for name, value in context.items() if name not in first}


def told_as_json(code: str, message: str, hint: str | None = None, request_id: str | None = None) -> dict[str, Any]:
    """How every error of a `--json` run begins."""
    return {"error": code, "message": message, "hint": hint, "request_id": request_id}


def _hint_of(error: ReflexError) -> str | None:
    """What to do about the answer of a server of policies, beyond its own words."""
    if type(error) is UnauthorizedError:
        return KEY_HINT
    return ADDRESS_HINT if isinstance(error, ServiceError) and error.message == NO_SUCH_ROUTE else None


@contextmanager
def reported_errors(*, as_json: bool) -> Iterator[None]:
    """End the command with code 1 and the error's own words; with `as_json`, they are the one JSON value."""
    try:
        yield
    except ReflexError as error:
        if as_json:
            print_json(error_as_json(error))
        else:
            say(f"reflex: {error}")
            if (hint := _hint_of(error)) is not None:
                say(hint)
        raise typer.Exit(EXIT_FAILED) from error
