"""Rerun files, verified by Rerun; `make rerun-test` makes the environment that has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.documents import REPOSITORY
from reflex.errors import SetupError
from reflex_runner.recording.recorder import Recorder
from support.run_recording.runs import facts
from support.skips import skip_for_want_of
from support.waiting import PROCESS_S

MODULE = "reflex_runner.recording.formats.rerun_file"


@pytest.fixture(scope="module")
def python() -> Path:
    """Of the environment with Rerun."""
    given = os.environ.get("STOCK_RERUN_PYTHON")
    if given is None:
        skip_for_want_of("Rerun")
    return Path(given)


@pytest.fixture(scope="module")
def folder(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two episodes."""
    return Path(
        ran(python, REPOSITORY / "tests/support/run_recording/rerun_program.py", tmp_path_factory.mktemp("rerun"))
    )


def ran(*command: str | Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PROCESS_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_rerun_verifies_every_episode(python: Path, folder: Path) -> None:
    for number in (0, 1):
        ran(python.with_name("rerun"), "rrd", "verify", folder / "rerun" / f"episode-00000{number}.rrd")


def test_pictures_joints_and_the_log_are_in_it(python: Path, folder: Path) -> None:
    told = ran(python.with_name("rerun"), "rrd", "stats", folder / "rerun" / "episode-000000.rrd")

    for entity in ("/observation.images.front", "/observation.state", "/action", "/wanted", "/measured", "/log"):
        assert f"\n{entity}: " in told
    assert "EncodedImage:blob" in told


@pytest.mark.parametrize(
    ("name", "module", "package", "extra"),
    [
        ("rerun", MODULE, "rerun", "rerun"),
        ("mcap", "reflex_runner.recording.formats.mcap_file", "mcap", "mcap"),
        ("lerobot", "reflex_runner.recording.formats.lerobot", "pyarrow", "datasets"),
        ("lerobot_png", "reflex_runner.recording.formats.lerobot", "av", "datasets"),
    ],
)
def test_a_missing_package_is_said_with_the_line_that_installs_it_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str, extra: str
) -> None:
    for known in list(sys.modules):
        if known.startswith(("reflex_runner.recording.lerobot", module)) or known.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(SetupError, match=rf"recordings as {name} need the package {package}.*\[{extra}\]"):
        Recorder(tmp_path, facts(), [name]).start()
    assert list(tmp_path.iterdir()) == []
