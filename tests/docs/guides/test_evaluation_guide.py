"""The commands of docs/evaluation.md run as they are printed, on a server of the policy that the guide serves."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from docs.documents import REPOSITORY, blocks_of
from reflex.cli import app
from support.outside.drawing import skip_without_pictures
from support.server import ServerProcess, running_server

GUIDE: Final = REPOSITORY / "docs" / "evaluation.md"
COMMANDS: Final = [
    line.removeprefix("reflex ")
    for block in blocks_of(GUIDE)
    if block.language == "bash"
    for line in block.code.splitlines()
    if line.startswith("reflex ")
]
SHORT: Final = ("--episodes", "2", "--seeds", "10000:10002", "--max-steps", "8", "--picture-px", "32")
"""Given besides, so that each takes seconds: of an option that is given twice the later one counts."""
BOUND: Final = "--at-least 0.9"
"""Which no untrained policy reaches."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    skip_without_pictures()
    with running_server("--policy", "sim_demo") as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_runs(
    command: str, server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = shlex.split(command)
    here = [server.base_url if word.startswith("http://127.0.0.1") else word for word in asked]
    where = [] if "--url" in here or "expert" in here else ["--url", server.base_url]
    went = CliRunner().invoke(app, [*here, *where, *SHORT, "--json"])
    assert went.exit_code == (1 if command.endswith(BOUND) else 0), went.output
    assert json.loads(went.stdout)["played"] == 2
    if "--out" in asked:
        assert {path.name for path in Path("evaluation").iterdir()} == {
            "episodes.jsonl", "evaluation.json", "failures",
        }  # fmt: skip
        assert Path("evaluation/failures/policy/seed_10001.mp4").is_file()


def test_the_guide_has_its_commands() -> None:
    assert sum(command.endswith(BOUND) for command in COMMANDS) == 2
    assert len(COMMANDS) == 8
