from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app

DOCUMENT = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()


@pytest.mark.parametrize("command", ["serve", "act", "replay", "compare", "traces summary", "doctor"])
def test_every_option_of_a_command_is_documented_and_no_other(command: str) -> None:
    section = DOCUMENT.split(f"## reflex {command}\n")[1].split("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `--"))
    first_cells = " ".join(row.split("|")[1] for row in rows.splitlines())
    offered = set(re.findall(r"(--[a-z-]+)", _options_of(command))) - {"--help"}
    assert set(re.findall(r"(--[a-z-]+)", first_cells)) == offered


def test_every_environment_variable_is_documented() -> None:
    text = "".join(CliRunner().invoke(app, [command, "--help"]).stdout for command in ("serve", "act"))
    assert set(re.findall(r"`(REFLEX_[A-Z_]+)`", DOCUMENT)) == set(re.findall(r"(REFLEX_[A-Z_]+)\]", text))


def _options_of(command: str) -> str:
    lines = CliRunner().invoke(app, [*command.split(), "--help"]).stdout.splitlines()
    return "\n".join(line for line in lines if line.startswith("  -"))
