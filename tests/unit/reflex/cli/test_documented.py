from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from reflex.cli import app

DOCUMENT = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
ONE_SECTION = {"slots": "slots, split and replace", "split": "slots, split and replace",
               "replace": "slots, split and replace"}  # fmt: skip
"""Commands that share a section."""


def _commands() -> Iterator[str]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    for name, command in root.commands.items():
        if isinstance(command, TyperGroup):
            yield from (f"{name} {child}" for child in command.commands)
        else:
            assert isinstance(command, TyperCommand)
            yield name


COMMANDS = sorted(_commands())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented_and_no_other(command: str) -> None:
    section = DOCUMENT.split(f"## reflex {ONE_SECTION.get(command, command)}\n")[1].split("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `--"))
    first_cells = " ".join(row.split("|")[1] for row in rows.splitlines())
    offered = set(re.findall(r"(--[a-z-]+)", _options_of(command))) - {"--help"}
    assert set(re.findall(r"(--[a-z-]+)", first_cells)) == offered


def test_the_document_has_no_section_of_a_command_that_is_not_there() -> None:
    sections = set(re.findall(r"^## reflex (.+)$", DOCUMENT, re.MULTILINE))
    assert sections == {ONE_SECTION.get(command, command) for command in COMMANDS}


def test_every_environment_variable_is_documented() -> None:
    text = "".join(CliRunner().invoke(app, [*command.split(), "--help"]).stdout for command in COMMANDS)
    assert set(re.findall(r"`(REFLEX_[A-Z_]+)`", DOCUMENT)) == set(re.findall(r"(REFLEX_[A-Z_]+)\]", text))


def _options_of(command: str) -> str:
    lines = CliRunner().invoke(app, [*command.split(), "--help"]).stdout.splitlines()
    return "\n".join(found[1] for line in lines if (found := re.match(r"  (-.*?)(?:\s{2,}|$)", line)))
