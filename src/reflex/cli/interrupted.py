"""How a command ends at Ctrl-C or SIGTERM: one sentence that is true, and 130."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from reflex.console import EXIT_INTERRUPTED, print_json, say, told_as_json
from reflex.interruption import interruptible

__all__ = ["ended_by_interruption", "interruption_told"]


@contextmanager
def ended_by_interruption(repository: Path, *, as_json: bool) -> Iterator[None]:
    """What was going on is undone when this says so: whatever cannot be undone any more is published, and whole."""
    before = _folders(repository)
    with interruption_told(lambda: _sentence(repository, is_as_before=_folders(repository) == before), as_json=as_json):
        yield


@contextmanager
def interruption_told(sentence: Callable[[], str], *, as_json: bool) -> Iterator[None]:
    """End the command with code 130 and what `sentence` says of what was going on."""
    with interruptible() as is_interrupted:
        try:
            yield
        except BaseException:
            # Whatever it is by now: a library that is interrupted in its own code may raise something else.
            if not is_interrupted():
                raise
            if as_json:
                print_json(told_as_json("interrupted", sentence()))
            else:
                say(f"reflex: {sentence()}")
            raise typer.Exit(EXIT_INTERRUPTED) from None


def _sentence(repository: Path, *, is_as_before: bool) -> str:
    if is_as_before:
        return f"interrupted; {repository} is as it was"
    return f"interrupted, but too late to undo it: what was published in {repository} is whole, and stays"


def _folders(repository: Path) -> frozenset[tuple[str, int]]:
    """A folder that was published is another one than that of its name before."""
    if not repository.is_dir():
        return frozenset()
    return frozenset((path.name, path.stat().st_ino) for path in repository.glob("[!.]*"))
