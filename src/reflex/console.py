"""How every command speaks: results on stdout, text for people on stderr, one JSON value with `--json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer

from reflex.errors import ReflexError, ServiceError, UnauthorizedError

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_USAGE", "print_json", "reported_errors", "say"]

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
KEY_HINT: Final = "set REFLEX_API_KEY to the key that `reflex keys new` printed, or give it with --api-key"


def say(text: str) -> None:
    """Print one line for a person."""
    typer.echo(text, err=True)


def print_json(value: object) -> None:
    """Print the one JSON value of a `--json` run."""
    typer.echo(json.dumps(value, ensure_ascii=False))


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
