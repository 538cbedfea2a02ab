"""tools/install.py tells how far it is while pip is silent, and leaves nothing. pip and venv are played here."""

from __future__ import annotations

import contextlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from support.waiting import HANGS_S, wait_until

REPOSITORY = Path(__file__).parents[2]
TOOL = REPOSITORY / "tools" / "install.py"
VENV = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1]) / "bin"
folder.mkdir(parents=True, exist_ok=True)
(folder / "python").write_text(f'#!/bin/sh\\nexec "{sys.executable}" "$@"\\n')
(folder / "python").chmod(0o755)
"""
PIP = """
import json, os, pathlib, sys, tempfile, time
folder = pathlib.Path(__file__).parent
unpack = pathlib.Path(tempfile.mkdtemp(prefix="pip-unpack-"))
for name in ("one.whl", "two.whl"):
    (unpack / name).write_bytes(bytes(2_000_000))
(folder.parent / ".venv/lib/python3/site-packages/one-1.dist-info").mkdir(parents=True, exist_ok=True)
(folder / "called").write_text(json.dumps([os.getpid(), *sys.argv[1:]]))
while not (folder / "code").exists():
    time.sleep(0.01)
sys.exit(int((folder / "code").read_text()))
"""


class Installing:
    """The tool as a process in a group of its own, as a terminal gives it."""

    def __init__(self, folder: Path, environment: Path | None = None) -> None:
        self.played = folder / "played"
        self.environment = folder / ".venv" if environment is None else environment
        self.played.mkdir(parents=True)
        (self.played / "venv.py").write_text(VENV)
        (self.played / "pip.py").write_text(PIP)
        self.process = subprocess.Popen(
            [sys.executable, str(TOOL), str(self.environment), ".[dev]"],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(self.played)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def pip(self) -> psutil.Process:
        """Once it has downloaded two packages and installed one."""
        called = self.played / "called"
        wait_until(lambda: called.exists() and called.read_text().endswith("]"), "pip is called")
        return psutil.Process(int(called.read_text().strip("[]").split(",")[0]))

    def ends(self, code: int) -> int:
        """What the tool ends with when pip ends so."""
        (self.played / "ending").write_text(str(code))
        (self.played / "ending").rename(self.played / "code")
        return self.process.wait(HANGS_S)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def installing(tmp_path: Path) -> Iterator[Installing]:
    made = Installing(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def second(installing: Installing, tmp_path: Path) -> Iterator[Installing]:
    """Another into the same environment, while pip works for the first."""
    installing.pip()
    made = Installing(tmp_path / "second", installing.environment)
    yield made
    made.kill()


@pytest.mark.slow
def test_while_pip_is_silent_it_says_how_much_is_downloaded_and_installed(installing: Installing) -> None:
    installing.pip()
    assert installing.process.stdout is not None

    said = next(line for line in installing.process.stdout if " 2 packages" in line)

    assert said.endswith(" s: 2 packages downloaded (4 MB), 1 installed\n")
    assert installing.ends(0) == 0
    assert list(installing.environment.glob("downloads-*")) == []


def test_pip_is_asked_for_what_is_wanted_in_the_versions_of_the_project(installing: Installing) -> None:
    installing.pip()

    asked = (installing.played / "called").read_text()

    assert '"--constraint", "constraints.txt", "--editable", ".[dev]"]' in asked


def test_each_step_says_at_once_that_it_begins(installing: Installing) -> None:
    """So no silence is longer than one pause between two lines."""
    installing.pip()
    assert installing.process.stdout is not None

    first = next(installing.process.stdout)
    then = next(line for line in installing.process.stdout if " packages " in line)

    assert first == "  0 s: making the virtual environment\n"
    assert then.startswith("  0 s: ")


def test_a_folder_that_pip_removes_while_it_is_counted_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "kept"):
        (tmp_path / f"pip-unpack-{name}").mkdir()
        (tmp_path / f"pip-unpack-{name}" / "one.whl").write_bytes(bytes(2_000_000))
    scandir = os.scandir

    def removing(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("-gone"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", removing)

    told = runpy.run_path(str(TOOL))["how_far"](tmp_path, tmp_path)

    assert told == "1 packages downloaded (2 MB), 0 installed"


def test_what_pip_ends_with_is_what_make_hears_and_what_to_do_is_said(installing: Installing) -> None:
    installing.pip()

    assert installing.ends(7) == 7
    assert installing.process.stdout is not None
    assert "run make again" in installing.process.stdout.read().splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "ending"),
    [
        ({"PATH": "/bin"}, "what is installed stays"),
        ({"HTTPS_PROXY": "http://me:secret@proxy:3128", "no_proxy": "x"}, "proxy, by HTTPS_PROXY: does it answer?"),
        ({"https_proxy": "", "ALL_PROXY": ""}, "proxy, by ALL_PROXY, https_proxy: does it answer?"),
    ],
)
def test_a_proxy_that_pip_asks_is_named_without_its_password(variables: dict[str, str], ending: str) -> None:
    told: str = runpy.run_path(str(TOOL))["advice"](variables)

    assert told.endswith(ending)
    assert "secret" not in told


@pytest.mark.slow
def test_a_second_installation_into_the_same_environment_waits_for_the_first(
    installing: Installing, second: Installing
) -> None:
    assert second.process.stdout is not None

    assert next(second.process.stdout) == "  waiting for another installation into .venv\n"
    assert not (second.played / "called").exists()

    assert installing.ends(0) == 0
    second.pip()
    assert second.ends(0) == 0


def test_one_that_waits_ends_at_ctrl_c(second: Installing) -> None:
    assert second.process.stdout is not None
    next(second.process.stdout)

    os.killpg(second.process.pid, signal.SIGINT)

    assert second.process.wait(HANGS_S) == 130


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(lambda process: os.killpg(process.pid, signal.SIGINT), 130, id="Ctrl-C"),
        pytest.param(lambda process: process.send_signal(signal.SIGINT), 130, id="SIGINT to it alone"),
        pytest.param(lambda process: process.terminate(), 143, id="SIGTERM to it alone"),
    ],
)
def test_ended_early_it_leaves_no_process_and_no_download(
    installing: Installing, end: Callable[[subprocess.Popen[str]], None], code: int
) -> None:
    pip = installing.pip()

    end(installing.process)

    assert installing.process.wait(HANGS_S) == code
    assert not pip.is_running()
    assert list(installing.environment.glob("downloads-*")) == []
