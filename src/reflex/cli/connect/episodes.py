"""`reflex connect --episodes N`: one beginning of a simulated robot after the other, and how often it succeeded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reflex.cli.connect.told import exit_code_of
from reflex.cli.control.answering import reported
from reflex.cli.control.options import ControlOptions
from reflex.cli.extras import load_extra
from reflex.console import EXIT_FAILED, print_json, say, show

if TYPE_CHECKING:
    from reflex_runner.running.episodes import Episodes
    from reflex_runner.running.options import RunOptions

__all__ = ["play"]


def play(at: ControlOptions, path: Path, asked: RunOptions, count: int) -> None:
    """Play them, tell how they went, and exit as a run does; that some had no success is no error."""
    episodes = load_extra("reflex_runner.running.episodes", "runner", as_json=at.as_json)
    with reported(at):
        config = load_extra("reflex_runner.config", "runner", as_json=at.as_json).load_robot_config(path)
        went: Episodes = episodes.play_episodes(config, episodes.seeds_from(config, count), asked)
    if at.as_json:
        print_json(went.as_json())
    else:
        for line in _lines_of(went):
            show(line)
    code = exit_code_of(went.errors, went.ended_by)
    if code or not went.as_json()["ok"]:
        raise typer.Exit(code or EXIT_FAILED)


def _lines_of(went: Episodes) -> Iterator[str]:
    """The count, and where they lie; errors go to stderr."""
    left = went.asked - len(went.played)
    yield f"success {went.successes} of {len(went.played)}" + (f"; {left} were not played" if left else "")
    yield from (f"recorded: {each}" for each in went.recordings)
    for error in went.errors:
        say(f"reflex: {error.code}: {error.message}")
