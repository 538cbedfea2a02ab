"""Every `reflex` command that a document shows is one that there is, with options that it has. None is run here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup

from docs.commands import built_once
from docs.documents import REPOSITORY, blocks_of, documents
from reflex.cli import app

SHELL = ("bash", "sh", "console")
GUIDES = ("docs/export.md", "docs/first-session.md")
COMMAND = re.compile(r"(?:^|[(;|&] *|[A-Z]=\S+ )reflex ([a-z][^\n|;&<>)#]*)", re.MULTILINE)


def commands_of(document: Path) -> list[list[str]]:
    """The words behind `reflex`, of every shell block."""
    code = "\n".join(block.code for block in blocks_of(document) if block.language in SHELL).replace("\\\n", " ")
    return [found.split() for found in COMMAND.findall(code)]


def unknown_in(words: list[str]) -> list[str]:
    """A command, or options of one, that `reflex` does not have."""
    command: object = built_once(app)
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    while isinstance(command, TyperGroup):
        if not words or words[0] not in command.commands:
            return words[:1] if words and not words[0].startswith("-") else []
        command, words = command.commands[words[0]], words[1:]
    assert isinstance(command, TyperCommand)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return [option for option in options if option not in known | {"--help"}]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_command_to_type_is_there_with_its_options(document: Path) -> None:
    assert [unknown_in(words) for words in commands_of(document) if unknown_in(words)] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_the_guides_are_found(guide: str) -> None:
    assert len(commands_of(REPOSITORY / guide)) >= 10


def test_a_command_or_an_option_that_is_not_there_would_be_seen() -> None:
    assert unknown_in(["sessions", "begin", "--deployment-id", "x"]) == ["begin"]
    assert unknown_in(["export", "folder", "--precision", "fp16", "--shelf=x"]) == ["--shelf"]
