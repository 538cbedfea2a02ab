"""Real servers for the contract tests, each started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
    folder = tmp_path_factory.mktemp("two-cameras")
    write_nonce_policy(folder, cameras=("image", "wrist"))
    with served("--model-repository", str(folder)) as server:
        yield server
