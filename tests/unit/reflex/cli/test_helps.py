"""What every `--help` holds to, over all commands there are."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from docs.commands import built_once
from reflex.cli import app
from support.waiting import HANGS_S

RUNNER = CliRunner()
TAKES = re.compile(r"^[A-Z][A-Z_=,|./]*$|^[a-z0-9-]+(\|[a-z0-9-]+)+$")
"""NAME, NAME=PATH, X,Y,... or the words to choose from, as fp32|fp16."""


def _commands(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, TyperGroup):
        yield path
        return
    for name, child in command.commands.items():
        yield from _commands(child, (*path, name))


COMMANDS = sorted(" ".join(path) for path in _commands(built_once(app), ()))


@functools.cache
def _help(command: str) -> str:
    return RUNNER.invoke(app, [*command.split(), "-h"], env={"COLUMNS": "100", "TERM": "dumb"}).stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_a_line_of_that_command_to_type(command: str) -> None:
    _, _, after = _help(command).partition("\n  Example")
    shown = [line.strip() for line in after.splitlines()[2:] if line.startswith("    ")]

    assert shown
    assert re.match(rf"reflex {command}( |$)", shown[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_shown_to_type_is_taken(command: str) -> None:
    """By its options alone: each is one of the command's own."""
    _, _, after = _help(command).partition("\n  Example")
    example, _, options = after.partition("\nOptions:")
    line = next(line for line in example.splitlines() if line.startswith(f"    reflex {command}"))

    assert set(re.findall(r" (--[a-z-]+)", line)) <= set(re.findall(r"(--[a-z-]+)", options))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_an_option_takes_is_named_in_one_style(command: str) -> None:
    lines = _help(command).partition("\nOptions:\n")[2].splitlines()
    named = [found[1] for line in lines if (found := re.match(r"  (?:-\w, )?--[a-z-]+ ([^/ ].*?)(?:  |$)", line))]

    assert [name for name in named if not TAKES.match(name)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_an_argument_is_called_is_in_capitals(command: str) -> None:
    usage = _help(command).splitlines()[0].partition("[OPTIONS]")[2]

    assert usage == usage.upper()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_no_help_is_cut(command: str) -> None:
    assert [line for line in _help(command).splitlines() if line.endswith("...") and "Usage" not in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    asked = {"_REFLEX_COMPLETE": f"complete_{shell}", "COMP_WORDS": "reflex verif", "COMP_CWORD": "1",
             "_TYPER_COMPLETE_ARGS": "reflex verif", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    program = "import sys; sys.argv[0] = 'reflex'; from reflex.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=asked, capture_output=True, text=True, check=False, timeout=HANGS_S
    )

    assert "verify" in done.stdout
    assert "watch" not in done.stdout
