"""The root command: how `reflex` ends when it was called wrongly, or when its output cannot be written."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup

from reflex.console import EXIT_FAILED, EXIT_USAGE, print_json, say

__all__ = ["RootCommand"]

UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""Click's, which newer typers bring along under a name of their own."""


class RootCommand(TyperGroup):
    """A group that keeps the rules of every command in what is wrong before a command runs, and after it has."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **how: Any) -> Any:  # noqa: ANN401 - Click's
        """Run the command line; ends the process as Click does."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            if "--json" not in given:
                return super().main(args, *more, **how)
            return self._main_as_json(given, *more, **how)
        except OSError as exc:
            if exc.errno != errno.ENOSPC or exc.filename is not None:
                raise
            _give_up_output(exc)

    def _main_as_json(self, args: Sequence[str], *more: Any, **how: Any) -> None:  # noqa: ANN401
        """Like `main`, with wrong usage as the one JSON value."""
        try:
            code = super().main(args, *more, **{**how, "standalone_mode": False})
        except UsageError as exc:
            message = getattr(exc, "format_message", exc.__str__)()
            print_json({"error": "usage", "message": message, "request_id": None})
            code = EXIT_USAGE
        sys.exit(code)


def _give_up_output(exc: OSError) -> None:
    """What is left in the buffer of a full disk would fail once more, with a traceback, when Python ends."""
    say(f"reflex: the output cannot be written: {exc.strerror}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(EXIT_FAILED)
