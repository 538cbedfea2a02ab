"""How every command speaks: results on stdout, text for people on stderr, one JSON value with `--json`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer

from reflex.errors import ReflexError, ServiceError, UnauthorizedError
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
KEY_HINT: Final = "set REFLEX_API_KEY to the key that `reflex keys new` printed, or give it with --api-key"
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


def error_as_json(error: ReflexError) -> dict[str, Any]:
    """`error` first, then what a person reads, then whatever else is known of it."""
    if not isinstance(error, ServiceError):
        return told_as_json(error.code, str(error), getattr(error, "hint", None))
    told = error.context.get("hint")
    hint = told if isinstance(told, str) else getattr(error, "hint", None)
    if hint is None and type(error) is UnauthorizedError:
        hint = KEY_HINT
    first = told_as_json(error.code, error.message, hint, error.request_id)
    context = dict(error.context)
    if error.retry_after_s is not None:
        context["retry_after_s"] = round(error.retry_after_s, 3)
    return first | {name: value for name, value in context.items() if name not in first}


def told_as_json(code: str, message: str, hint: str | None = None, request_id: str | None = None) -> dict[str, Any]:
    """How every error of a `--json` run begins."""
    return {"error": code, "message": message, "hint": hint, "request_id": request_id}


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
            if isinstance(error, UnauthorizedError):
                say(KEY_HINT)
        raise typer.Exit(EXIT_FAILED) from error
