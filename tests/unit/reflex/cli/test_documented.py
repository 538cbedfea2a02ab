from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from docs.commands import built_once
from reflex.cli import app

DOCUMENT = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
ONE_SECTION = {"slots": "slots, split and replace", "split": "slots, split and replace",
               "replace": "slots, split and replace"}  # fmt: skip
"""Commands that share a section."""
EVERYWHERE = {"--help", "--verbose"}
SHARED = {"--api-key", "--convex-url", "--backend-url", "--json"}
"""What every command that asks a control plane takes, besides."""


def _commands() -> Iterator[str]:
    root = built_once(app)
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
    offered = set(re.findall(r"(--[a-z-]+)", _options_of(command))) - EVERYWHERE
    assert _documented_in(section) == (offered - SHARED if offered >= SHARED else offered)


def test_what_every_command_takes_is_documented_before_them_all() -> None:
    assert _documented_in(DOCUMENT.split("\n## ")[0]) == {"--json", "--verbose"}


def test_what_every_command_of_the_control_plane_takes_is_documented_once() -> None:
    asking = [name for name in COMMANDS if "--convex-url" in _options_of(name)]

    assert _documented_in(DOCUMENT.split("## The control plane\n")[1].split("\n## ")[0]) == SHARED
    assert [name for name in asking if not set(re.findall(r"(--[a-z-]+)", _options_of(name))) >= SHARED] == []
    assert {name.split()[0] for name in asking} >= {"deploy", "sessions", "robots", "receipts", "models", "whoami"}


def test_the_document_has_no_section_of_a_command_that_is_not_there() -> None:
    sections = set(re.findall(r"^## reflex (.+)$", DOCUMENT, re.MULTILINE))
    assert sections == {ONE_SECTION.get(command, command) for command in COMMANDS}


def test_every_environment_variable_is_documented() -> None:
    text = "".join(_help(command) for command in COMMANDS)
    assert set(re.findall(r"`(REFLEX_[A-Z_]+)`", DOCUMENT)) == set(re.findall(r"(REFLEX_[A-Z_]+)\]", text))


def _documented_in(section: str) -> set[str]:
    rows = [line for line in section.splitlines() if line.startswith("| `--")]
    return set(re.findall(r"(--[a-z-]+)", " ".join(row.split("|")[1] for row in rows)))


@functools.cache
def _help(command: str) -> str:
    return CliRunner().invoke(app, [*command.split(), "--help"]).stdout


def _options_of(command: str) -> str:
    lines = _help(command).splitlines()
    return "\n".join(found[1] for line in lines if (found := re.match(r"  (-.*?)(?:\s{2,}|$)", line)))
