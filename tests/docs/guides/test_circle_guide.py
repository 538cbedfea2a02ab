"""The commands of docs/from-recording-to-policy.md between a recording and a trained run, in their order, for real.

The trainer is the stub, and a dataset of two episodes stands for the recording; recording, exporting, proving and
deploying are run in the tests of the pages that are linked there.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from docs.documents import REPOSITORY, blocks_of
from reflex.cli import app
from support.datasets.drafts import healthy
from support.datasets.writing import make
from support.outside.control_plane import prepared_store, running_control
from support.trainer.stub import stub_environment

pytestmark = pytest.mark.slow

GUIDE: Final = REPOSITORY / "docs" / "from-recording-to-policy.md"
LINES: Final = [
    line for block in blocks_of(GUIDE) if block.language == "bash" for line in block.code.splitlines() if line
]
KEPT: Final = re.compile(r"(\w+)=\$\((.+)\)")
SHORT: Final = {"training start": ("--steps", "100"), "training worker": ("--data", "data", "--trainer", "env")}
"""Given besides: of an option that is given twice the later one counts."""


def run_as_typed(line: str, known: dict[str, str], environment: dict[str, str]) -> str:
    """What it prints; `NAME=$(...)` is remembered."""
    kept = KEPT.fullmatch(line)
    words = [known.get(word.removeprefix("$"), word) for word in shlex.split(kept[2] if kept else line)][1:]
    done = CliRunner().invoke(app, [*words, *SHORT.get(" ".join(words[:2]), ())], env=environment)
    assert done.exit_code == 0, (line, done.output)
    if kept:
        known[kept[1]] = done.stdout.strip()
    return done.stdout


def test_the_commands_from_a_recording_to_a_trained_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(healthy("image", (31, 32)), Path("recordings/cubes/lerobot"))
    stub_environment(Path("env"))
    known: dict[str, str] = {}
    with prepared_store(tmp_path / "store") as (ours, _), running_control(tmp_path / "store") as control:
        environment = {"REFLEX_API_KEY": ours.admin().secret, "REFLEX_CONVEX_URL": control.base_url}
        printed = {line: run_as_typed(line, known, environment) for line in LINES}

    assert "succeeded" in printed['reflex training show "$RUN"']
    assert printed['reflex training logs "$RUN"']
    assert len(LINES) == 9
