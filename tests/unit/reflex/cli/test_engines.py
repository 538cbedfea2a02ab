from __future__ import annotations

import json
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.shared_engines import make_current
from support.waiting import HANGS_S

RUNNER = CliRunner()


class Builder(types.ModuleType):
    """Stands for what builds: keeps what it was told."""

    def __init__(self) -> None:
        super().__init__("reflex_export.commands.engines")
        self.told: list[tuple[str, tuple[Path, ...], dict[str, Any]]] = []

    def build_command(self, *places: Path, **options: Any) -> None:
        self.told.append(("in place", places, options))

    def build_shared_command(self, *places: Path, **options: Any) -> None:
        self.told.append(("shared", places, options))


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    module = Builder()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Engines that are current."""
    folder = tmp_path / "shared" / "f1"
    folder.mkdir(parents=True)
    make_current(folder)
    return folder


def test_engines_are_built_in_the_repository_unless_a_shared_folder_is_named(builder: Builder, tmp_path: Path) -> None:
    same = {"policy": "cup", "engine": "tensorrt-rtx", "cache": tmp_path / "c", "as_json": True}
    arguments = ["engines", "build", str(tmp_path), "--policy", "cup", "--engine", "tensorrt-rtx"]
    arguments += ["--cache", str(tmp_path / "c"), "--json"]

    assert RUNNER.invoke(app, arguments).exit_code == 0
    assert RUNNER.invoke(app, [*arguments, "--shared", str(tmp_path / "s"), "--lock-timeout", "7"]).exit_code == 0
    assert builder.told == [
        ("in place", (tmp_path,), same),
        ("shared", (tmp_path, tmp_path / "s"), {**same, "lock_timeout_s": 7.0}),
    ]


def test_a_script_gets_the_place_alone_on_stdout(place: Path) -> None:
    result = RUNNER.invoke(app, ["engines", "wait", str(place.parent)])

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{place}\n", "")


def test_a_link_is_made_and_said(place: Path, tmp_path: Path) -> None:
    link = tmp_path / "repository"

    result = RUNNER.invoke(app, ["engines", "wait", str(place.parent), "--link", str(link)])

    assert (result.exit_code, result.stderr) == (0, f"serving {place}\n")
    assert link.resolve() == place.resolve()


def test_json_is_one_value_with_place_and_link(place: Path, tmp_path: Path) -> None:
    link = tmp_path / "repository"

    result = RUNNER.invoke(app, ["engines", "wait", str(place.parent), "--link", str(link), "--json"])

    assert json.loads(result.stdout) == {"place": str(place), "link": str(link)}
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("job", "said", "remedy"),
    [
        (["--job", "cell-engines"], "waiting for job/cell-engines: ", "see: kubectl logs job/cell-engines"),
        ([], "waiting: ", "build them: reflex engines build REPOSITORY --shared "),
    ],
)
def test_who_waits_says_for_what_and_gives_up_with_a_remedy(
    job: list[str], said: str, remedy: str, tmp_path: Path
) -> None:
    link = tmp_path / "link"

    result = RUNNER.invoke(app, ["engines", "wait", str(tmp_path), "--timeout", "0.1", "--link", str(link), *job])

    assert result.exit_code == 1
    waiting, gave_up = result.stderr.splitlines()
    assert waiting.startswith(f"{said}{tmp_path}/current names no finished engines")
    assert gave_up.startswith("reflex: gave up: ")
    assert remedy in gave_up
    assert not link.is_symlink()


def test_json_of_who_gives_up_is_the_error_alone(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["engines", "wait", str(tmp_path), "--timeout", "0", "--json"])

    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout)["error"] == "setup"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_ends_at_once_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "reflex.cli", "engines", "wait", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting: ")
        process.send_signal(number)
        said = process.communicate(timeout=HANGS_S)[1]

    assert (process.returncode, said) == (130, f"reflex: interrupted; {tmp_path}/current names no finished engines\n")
