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

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_USAGE", "columns", "print_json", "reported_errors", "say", "show"]

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


@contextmanager
def reported_errors(*, as_json: bool) -> Iterator[None]:
    """End the command with code 1 and the error's own words; with `as_json`, its envelope is the one JSON value."""
    try:
        yield
    except ReflexError as error:
        if as_json:
            print_json(_envelope(error))
        else:
            say(f"reflex: {error}")
            if isinstance(error, UnauthorizedError):
                say(KEY_HINT)
        raise typer.Exit(EXIT_FAILED) from error


def _envelope(error: ReflexError) -> dict[str, Any]:
    from reflex.wire import error_envelope

    if isinstance(error, ServiceError):
        return error_envelope(error)
    return {"error": error.code, "message": str(error), "request_id": None}
