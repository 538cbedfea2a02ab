"""The root command: what every command takes, and how `reflex` ends when it was called wrongly or cannot go on."""

from __future__ import annotations

import errno
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup

import reflex
from reflex.cli.options import VerboseOption
from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, print_json, say, told_as_json

__all__ = ["RootCommand"]

UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""Click's, which newer typers bring along under a name of their own."""
CommandError: Final[type[Exception]] = typer.BadParameter.__mro__[2]
JSON: Final = "--json"
LINE: Final = "%(asctime)s %(message)s"

logger = logging.getLogger("reflex.cli")


class RootCommand(TyperGroup):
    """A group that keeps the rules of every command in what is wrong before a command runs, and after it has.

    And it gives each of them --verbose.
    """

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - Click's
        super().__init__(*args, **more)
        self.as_json = False
        verbose = _verbose_option()
        for command in _leaves(self):
            command.params.append(verbose)

    def main(self, args: Sequence[str] | None = None, *more: Any, **how: Any) -> Any:  # noqa: ANN401 - Click's
        """Run the command line; ends the process as Click does."""
        given = list(sys.argv[1:] if args is None else args)
        self.as_json = JSON in (given[: given.index("--")] if "--" in given else given)
        try:
            if not self.as_json:
                return super().main(args, *more, **how)
            return self._main_as_json(given, *more, **how)
        except OSError as exc:
            if exc.errno != errno.ENOSPC or exc.filename is not None:
                raise
            _give_up_output(exc)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Click's
        """Run the command; with --json, an interruption that it did not tell of itself is one JSON value."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if self.as_json:
                print_json(told_as_json("interrupted", "interrupted"))
            raise typer.Exit(EXIT_INTERRUPTED) from None

    def _main_as_json(self, args: Sequence[str], *more: Any, **how: Any) -> None:  # noqa: ANN401
        """Like `main`, with wrong usage as the one JSON value."""
        try:
            code = super().main(args, *more, **{**how, "standalone_mode": False})
        except UsageError as exc:
            print_json(told_as_json("usage", _message_of(exc), _where_to_look(exc)))
            code = EXIT_USAGE
        except (CommandError, typer.Abort) as exc:
            print_json(told_as_json("setup", _message_of(exc) or "standard input has ended"))
            code = EXIT_FAILED
        sys.exit(code)


def _leaves(command: Any) -> Iterator[Any]:  # noqa: ANN401 - Click's
    """The commands that do something, of a group and the groups in it."""
    for child in command.commands.values():
        if isinstance(child, TyperGroup):
            yield from _leaves(child)
        else:
            yield child


def _verbose_option() -> Any:  # noqa: ANN401 - Click's
    """Made by Typer, whose options are made differently from version to version; no command has it as an argument."""
    declaring = typer.Typer(add_completion=False)
    declaring.command()(_with_verbose)
    option: Any = typer.main.get_command(declaring).params[0]
    option.expose_value = False
    option.callback = _log_if_wanted
    return option


def _with_verbose(*, verbose: VerboseOption = False) -> None:
    """Declares it."""


def _log_if_wanted(ctx: Any, _option: Any, wanted: bool) -> None:  # noqa: ANN401, FBT001 - Click's callback
    if wanted and not ctx.resilient_parsing:
        # The root's: a command that was called wrongly is never closed itself.
        root = ctx.find_root()
        root.call_on_close(_log_on_stderr(as_json=root.command.as_json))
        logger.debug("reflex %s, Python %s: %s", reflex.__version__, platform.python_version(), ctx.command_path)


def _log_on_stderr(*, as_json: bool) -> Callable[[], None]:
    """What we log, on stderr, until what is returned is called; there is no secret in it."""
    from reflex.serving.logs import json_lines

    handler, ours = logging.StreamHandler(sys.stderr), logging.getLogger("reflex")
    handler.setFormatter(json_lines() if as_json else logging.Formatter(LINE))
    level = ours.level
    ours.setLevel(logging.DEBUG)
    ours.addHandler(handler)

    def stop() -> None:
        ours.removeHandler(handler)
        ours.setLevel(level)

    return stop


def _message_of(exc: Exception) -> str:
    return str(getattr(exc, "format_message", exc.__str__)())


def _where_to_look(exc: Exception) -> str | None:
    context = getattr(exc, "ctx", None)
    return None if context is None else f"see: {context.command_path} --help"


def _give_up_output(exc: OSError) -> None:
    """What is left in the buffer of a full disk would fail once more, with a traceback, when Python ends."""
    say(f"reflex: the output cannot be written: {exc.strerror}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(EXIT_FAILED)
