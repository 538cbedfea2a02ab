"""Real servers for the contract tests, each started once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from reflex_bench.nonce_policy import write_nonce_policy
from support.hostile_served import Served, served
from support.nonce_server import one_process_each
from support.outside.control_plane import StoreOf
from support.outside.postgres import Clusters


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield Clusters(stack)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> StoreOf:
    """An empty store of each kind, for a control plane of the module's own; `make whole-runs` runs PostgreSQL's."""
    folder = tmp_path_factory.mktemp("control") / "data"
    if request.param == "sqlite":
        return StoreOf(folder)
    return StoreOf(folder, clusters.made_store(), clusters.get().data_folder)


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
    one_process_each(folder / "models")
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
    """The nonce policy with --no-guard, and with openpi's protocol at /."""
    folder = tmp_path_factory.mktemp("unguarded")
    write_nonce_policy(folder)
    one_process_each(folder)
    with served("--model-repository", str(folder), "--no-guard", "--openpi-root") as server:
        yield server


@pytest.fixture(scope="package")
def two_cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("two-cameras")
    write_nonce_policy(folder, cameras=("image", "wrist"))
    one_process_each(folder)
    with served("--model-repository", str(folder)) as server:
        yield server
