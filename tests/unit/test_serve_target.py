"""`make serve` serves the policy that was trained here, unless something else says what is to be served."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from docs.documents import REPOSITORY
from reflex.policy_config import read_policy_config

TRAINED = "pick_up_the_cube"
NAMED = f"--policy {TRAINED}"


def recipe(*words: str, folder: Path = REPOSITORY, variables: dict[str, str] | None = None) -> str:
    """What `make serve` would run there, without running it."""
    command = ["make", "--no-print-directory", "--dry-run", "--old-file", ".venv/.installed", "--old-file",
               ".venv/.serves", "--file", str(REPOSITORY / "Makefile"), "serve", *words]  # fmt: skip
    ours = {name: value for name, value in os.environ.items() if not name.startswith("REFLEX_")}
    done = subprocess.run(command, cwd=folder, env=ours | (variables or {}), capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if '/reflex" serve' in line]
    return line.partition('/reflex" serve')[2].strip()


def test_alone_it_is_the_trained_policy() -> None:
    assert recipe() == NAMED
    assert read_policy_config(REPOSITORY / "model_repository" / TRAINED).trained


@pytest.mark.parametrize("options", ["--port 9000", "--no-guard", '--robot-id "arm  1"', "--shadow sim_demo"])
def test_options_that_name_no_policy_come_after_it_as_they_are(options: str) -> None:
    assert recipe(f"ARGS={options}") == f"{NAMED} {options}"


@pytest.mark.parametrize(
    "options",
    [
        "--policy demo",
        "--policy=demo",
        "--port 9000 --policy sim_demo",
        "--policy-a demo --policy-b demo_2 --split 80",
        "--model-repository models",
        "--model-repository=models",
        "--triton grpc://gpu-box:8001",
    ],
)
def test_options_that_say_what_is_served_stand_alone(options: str) -> None:
    assert recipe(f"ARGS={options}") == options


@pytest.mark.parametrize("variable", ["POLICY", "POLICY_A", "POLICY_B", "MODEL_REPOSITORY", "TRITON"])
def test_so_does_what_the_environment_says(variable: str) -> None:
    assert recipe(variables={f"REFLEX_{variable}": "x"}) == ""
    assert recipe(variables={f"REFLEX_{variable}": ""}) == NAMED
    assert recipe(f"REFLEX_{variable}=x", "ARGS=--port 1") == "--port 1"


def test_an_sdist_which_does_not_hold_it_serves_what_there_is(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()

    assert recipe(folder=tmp_path) == ""
