"""Real servers for the contract tests, each started once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reflex.model_repository import CONFIG_FILE
from reflex_bench.nonce_policy import write_nonce_policy
from support.hostile_served import Served, served


@pytest.fixture(scope="package")
def demo() -> Iterator[Served]:
    """`reflex serve` as it comes, with a robot's name."""
    with served("--robot-id", "arm-7") as server:
        yield server


@pytest.fixture(scope="package")
def nonce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The nonce policy behind the guard, with a short queue and one origin; it can be slowed and broken."""
    folder = tmp_path_factory.mktemp("nonce")
    write_nonce_policy(folder / "models", control_file=folder / "control.json")
    options = (
        "--model-repository",
        str(folder / "models"),
        "--max-queue",
        "1",
        "--cors-origins",
        "https://lab.example",
    )
    with served(*options, control_file=folder / "control.json") as server:
        yield server


@pytest.fixture(scope="package")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The nonce policy with --no-guard."""
    folder = tmp_path_factory.mktemp("unguarded")
    write_nonce_policy(folder)
    with served("--model-repository", str(folder), "--no-guard") as server:
        yield server


@pytest.fixture(scope="package")
def two_cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A policy whose contract asks for two cameras. Its model knows one, so only refusals can be asked of it."""
    folder = tmp_path_factory.mktemp("two-cameras")
    write_nonce_policy(folder)
    _edit_config(folder / "nonce" / CONFIG_FILE, _add_wrist_camera)
    with served("--model-repository", str(folder)) as server:
        yield server


def _edit_config(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def _add_wrist_camera(config: dict[str, Any]) -> None:
    config["cameras"].append({"name": "wrist", "required": True})
    config["inputs"].append({"name": "image.wrist", "datatype": "UINT8", "shape": [-1, -1, 3]})
    config["canary"] = None
