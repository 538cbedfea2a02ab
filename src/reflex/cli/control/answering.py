"""How every command of the control plane asks, prints and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from reflex.cli.control.options import ControlOptions
from reflex.console import EXIT_FAILED, error_as_json, print_json, say, show
from reflex.errors import ReflexError, ServiceError, TransportError

if TYPE_CHECKING:
    from reflex.control import ControlClient

__all__ = ["EXIT_AUTHENTICATION", "EXIT_NOT_READY", "answer", "exit_code_of", "reported", "table"]

EXIT_AUTHENTICATION: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_NOT_READY: Final = 5
NOT_READY_CODES: Final = frozenset(
    {
        "dataset_unvalidated",
        "deployment_not_ready",
        "robot_busy",
        "session_ended",
        "session_expired",
        "session_mode",
        "wrong_state",
    }
)

ResultT = TypeVar("ResultT")


def answer(
    at: ControlOptions, ask: Callable[[ControlClient], ResultT], lines: Callable[[ResultT], Iterable[str]]
) -> ResultT:
    """Ask, and print the answer: as it is with --json, else as the `lines` made of it."""
    from reflex.control.opening import open_client

    with reported(at), open_client(at.api_key, convex_url=at.convex_url) as client:
        result = ask(client)
        printed = [] if at.as_json else _made(lines, result)
    if at.as_json:
        print_json(result)
    for line in printed:
        show(line)
    return result


@contextmanager
def reported(at: ControlOptions) -> Iterator[None]:
    """End the command with the error's own words and the exit code that it stands for."""
    try:
        yield
    except ReflexError as error:
        if at.as_json:
            print_json(error_as_json(error, of_policies=False))  # its message says which key
        else:
            _say_error(error)
        raise typer.Exit(exit_code_of(error)) from error


def exit_code_of(error: ReflexError) -> int:
    """3 for what a login mends, 4 for no answer, 5 for a state that does not allow it, else 1."""
    if isinstance(error, TransportError):
        return EXIT_UNREACHABLE
    if error.code in NOT_READY_CODES:
        return EXIT_NOT_READY
    if error.code == "api_key_required" or (isinstance(error, ServiceError) and error.status == 401):
        return EXIT_AUTHENTICATION
    return EXIT_FAILED


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line a row under no heading: the members of these names, in columns."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _made(lines: Callable[[ResultT], Iterable[str]], result: ResultT) -> list[str]:
    try:
        return list(lines(result))
    except (KeyError, TypeError, AttributeError) as exc:
        raise TransportError(f"the answer is not of this version of Reflex ({exc!r}); --json shows it whole") from exc


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def _message_of(error: ReflexError) -> str:
    return error.message if isinstance(error, ServiceError) else str(error)


def _say_error(error: ReflexError) -> None:
    say(f"reflex: {_message_of(error)}")
    if isinstance(error, ServiceError) and isinstance(hint := error.context.get("hint"), str):
        say(hint)
