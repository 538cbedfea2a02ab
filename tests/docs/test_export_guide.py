"""Every shell command of the export guide runs, in its order and in one folder, on a recorded checkpoint; so does the
server that it starts.

What differs from a reader's terminal: the port, that the folder holds the recorded checkpoint as `my_checkpoint`, and
an adapter of it as `my_adapter`, and that the commands before the server run in this process, which has loaded already
what each of theirs takes a second to load.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from docs.commands import built_once
from docs.documents import REPOSITORY, Block, blocks_of
from reflex.cli import app
from reflex.model_repository import policies_of
from reflex.policy_config import read_policy_config
from reflex_export.checking.parity import GATES
from support.checkpoints.adapted import adapter_folder
from support.checkpoints.golden import golden_folder
from support.server import ServerProcess, running_server
from support.skips import skip_for_want_of

pytestmark = pytest.mark.slow

GUIDE = REPOSITORY / "docs" / "export.md"
BIN = Path(sys.executable).parent
BLOCKS = [block for block in blocks_of(GUIDE) if block.language == "bash"]
SERVE = next(block for block in BLOCKS if block.code.startswith("reflex serve "))
BEFORE, AFTER = BLOCKS[: BLOCKS.index(SERVE)], BLOCKS[BLOCKS.index(SERVE) + 1 :]
COMMAND_TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Walk:
    """One reader's folder, after all commands before the server."""

    folder: Path
    printed: dict[int, str]
    """What each block printed, by its line."""

    @property
    def models(self) -> Path:
        return self.folder / "models"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("guide")
    for name in ("my_checkpoint", "my_cases"):
        (folder / name).symlink_to(golden_folder("smolvla").resolve())
    adapter_folder(folder / "my_adapter", "smolvla")
    shutil.copy(REPOSITORY / "examples" / "cube.jpg", folder / "cup.jpg")
    (folder / "export").symlink_to(REPOSITORY / "export")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Walk(folder, {block.line: run_here(block.code) for block in BEFORE})


@pytest.fixture(scope="module")
def server(walk: Walk) -> Iterator[ServerProcess]:
    """The guide's own `reflex serve`, on another port."""
    options = SERVE.code.removeprefix("reflex serve ").split()
    absolute = [str(walk.folder / option) if (walk.folder / option).is_dir() else option for option in options]
    with running_server(*absolute) as served:
        yield served


def run_here(code: str) -> str:
    """What `reflex` says to a block that is a single command of it, in this process and folder."""
    program, *arguments = shlex.split(code.replace("\\\n", " "))
    assert program == "reflex"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{code}{done.output}"
    return done.stdout + done.stderr


def run_command(code: str, folder: Path) -> str:
    """Its stdout, then its stderr; fails with the latter when it ends with another code than 0."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{code}{done.stderr}"
    return done.stdout + done.stderr


def test_every_command_before_the_server_runs_and_publishes_what_the_guide_names(walk: Walk) -> None:
    named = {"pick_cup", "pick_cup_steps", "pick_cup_steps-4steps", "pick_cup_wrist_off", "pick_cup_fp16"}
    named |= {"pick_cup_unchecked", "pick_cup_tuned"}

    assert set(policies_of(walk.models)) == {"demo_checkpoint", *named}
    assert read_policy_config(walk.models / "pick_cup_steps-4steps").denoising_steps == 4
    assert all(f"`{name}`" in GUIDE.read_text(encoding="utf-8") for name in ("pick_cup_steps", "pick_cup_steps-4steps"))


def test_the_demo_checkpoint_becomes_a_policy_that_says_that_it_is_untrained(walk: Walk) -> None:
    config = read_policy_config(walk.models / "demo_checkpoint")

    assert (config.trained, config.source) == (False, "export/demo_checkpoint")


def test_the_proven_policy_says_so_and_the_unproven_one_says_that_it_is_not(walk: Walk) -> None:
    proven = read_policy_config(walk.models / "pick_cup").parity
    unproven = read_policy_config(walk.models / "pick_cup_steps").parity

    assert proven is not None
    assert unproven is not None
    assert (proven["verdict"], unproven["verdict"]) == ("passed", "not checked")
    verified = [walk.printed[block.line] for block in BEFORE if block.code.startswith("reflex verify ")]
    assert ["parity passed against recorded cases" in text for text in verified] == [True, False]
    assert "parity passed against the FP32 graphs" in verified[1]
    assert "first difference: none" in verified[1]


def test_the_dry_run_says_that_it_published_nothing(walk: Walk) -> None:
    (dry_run,) = [block.line for block in BEFORE if "--dry-run" in block.code]

    assert "nothing was published" in walk.printed[dry_run]


def test_the_optional_camera_is_optional_in_its_policy_only(walk: Walk) -> None:
    required = {
        policy: [camera.required for camera in read_policy_config(walk.models / policy).cameras]
        for policy in ("pick_cup", "pick_cup_wrist_off")
    }

    assert required == {"pick_cup": [True, True], "pick_cup_wrist_off": [True, False]}


@pytest.mark.parametrize("block", AFTER, ids=lambda block: f"line{block.line}")
def test_the_commands_beside_the_server_run(walk: Walk, server: ServerProcess, block: Block) -> None:
    if "curl" in block.code and shutil.which("curl") is None:
        skip_for_want_of("curl")
    code = block.code.replace("http://127.0.0.1:8000", server.base_url)
    code = code.replace("reflex act ", f"reflex act --url {server.base_url} ")

    assert run_command(code, walk.folder)


def test_the_gates_in_the_guide_are_those_of_the_code() -> None:
    text = GUIDE.read_text(encoding="utf-8")

    for precision, gate in GATES.items():
        assert f"| `{precision}` | {gate.cosine} | {gate.max_abs:.4f}".rstrip("0") in text


def test_the_arrays_of_a_case_are_those_that_are_read() -> None:
    source = (REPOSITORY / "export/reflex_export/checking/recorded.py").read_text(encoding="utf-8")
    read = set(re.findall(r'case(?:\.get\(|\[)f?"([\w.]+)', source)) | {"token_mask"}
    section = GUIDE.read_text(encoding="utf-8").split("## Recorded cases\n")[1].split("\n## ")[0]
    rows = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    documented = {name for name in re.findall(r"`([\w.]+)", rows) if name != "image."}

    assert documented == {name for name in read if not name.startswith("image.")}


@pytest.mark.parametrize("command", ["export", "verify", "engines build"])
def test_every_option_is_in_the_documents_and_no_other(command: str) -> None:
    found: object = built_once(app)
    for name in command.split():
        assert isinstance(found, TyperGroup)
        found = found.commands[name]
    assert isinstance(found, TyperCommand)
    offered = {option for parameter in found.params for option in parameter.opts if option.startswith("--")}
    offered -= {"--verbose"}  # of every command, and documented once: tests/unit/reflex/cli/test_documented.py
    section = (REPOSITORY / "docs/cli.md").read_text().split(f"## reflex {command}\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))

    assert documented == offered
