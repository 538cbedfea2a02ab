"""`reflex diagnose` as it is typed, and `reflex.diagnose`, against a server that answers by a policy of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import reflex
from reflex.cli import app
from reflex.errors import SetupError, TransportError
from support.datasets.drafts import healthy
from support.datasets.writing import make
from support.diagnosis.still import StillServer, still_server


@pytest.fixture
def server() -> Iterator[StillServer]:
    with still_server() as running:
        yield running


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make(healthy("image"), tmp_path / "dataset")


def diagnose(*given: str) -> Any:
    return CliRunner().invoke(app, ["diagnose", *given])


@pytest.mark.slow
def test_what_is_wrong_is_a_line_with_its_fix_and_ends_with_1(
    server: StillServer, dataset: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    done = diagnose("--server", server.url, "--dataset", str(dataset), "--frames", "24", "--html", str(page))

    assert done.exit_code == 1, done.output
    line, fix = done.stdout.splitlines()
    assert line.startswith("unexplained: the policy is no nearer to the recorded actions than their mean, and no ")
    assert fix.startswith("  fix: is it the policy of this task?")
    assert done.stderr.splitlines()[-1] == f"still at {server.url}, {dataset}: 1 finding"
    assert "What was tried" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_as_json_it_is_one_value(server: StillServer, dataset: Path) -> None:
    done = diagnose("--server", server.url, "--dataset", str(dataset), "--frames", "24", "--json")
    told = json.loads(done.stdout)

    assert (done.exit_code, told["healthy"], told["frames"]) == (1, False, 24)
    assert [finding["id"] for finding in told["findings"]] == ["unexplained"]
    assert set(told["error_by_axis"]) == set(server.axes)


@pytest.mark.slow
def test_the_function_finds_what_the_command_finds(server: StillServer, dataset: Path) -> None:
    found = reflex.diagnose(server.url, dataset, frames=24)

    assert not found.is_healthy
    assert [finding.kind for finding in found.findings] == ["unexplained"]


def test_a_camera_that_is_no_pair_is_a_mistake_of_typing(dataset: Path) -> None:
    done = diagnose("--server", "http://127.0.0.1:1", "--dataset", str(dataset), "--camera", "front")

    assert done.exit_code == 2
    assert "must be POLICY=DATASET, like front=top" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ask", [lambda url, root: reflex.diagnose(url, root)])
def test_no_dataset_and_no_server_are_errors(
    ask: Callable[[str, Path], object], server: StillServer, dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="is no LeRobot dataset"):
        ask(server.url, tmp_path)
    with pytest.raises(TransportError):
        ask("http://127.0.0.1:1", dataset)
