"""How the tests themselves run: shared among workers, skipped for known tools only, and the end says which."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace
from typing import Final

import pytest
from hypothesis import core

from docs.documents import REPOSITORY
from support.skips import HOW_TO_RUN, Tool, reason_for, summary_of, wanted_tool
from support.waiting import HANGS_S, PROCESS_S
from support.workers import longest_first, unit_of_work

TESTS: Final = REPOSITORY / "tests"
SKIPPING: Final = """
import pytest
from support.skips import skip_for_want_of

def test_of_a_known_tool():
    skip_for_want_of("curl", "and more words")

@pytest.mark.skip("needs Docker")
def test_of_another():
    pass

@pytest.mark.xfail(strict=True)
def test_that_fails_as_expected():
    raise AssertionError
"""
LAZY: Final = """
import pytest

def test_of_no_tool():
    pytest.skip("no time")
"""
HEARING: Final = """
import subprocess, sys

CHILD = "import signal; print([number for number in (1, 2, 3, 15) if signal.getsignal(number) is signal.SIG_IGN])"

def test_of_a_child():
    assert subprocess.check_output([sys.executable, "-c", CHILD], text=True).strip() == "[]"
"""
TARGET: Final = re.compile(r"[a-z][a-z-]*")
IGNORABLE: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
WHOLE: Final = """
import pytest
pytest.skip("the file is not there", allow_module_level=True)
"""


def run_pytest(folder: Path, texts: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    """A project with a file of each text and this conftest, in a process of its own."""
    shutil.copy(TESTS / "conftest.py", folder)
    for number, text in enumerate(texts):
        (folder / f"test_{number}.py").write_text(text, encoding="utf-8")
    plugins = ["-p", "xdist", "-p", "pytest_randomly", *options]
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), *plugins, str(folder)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONFAULTHANDLER": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=PIPE, stderr=PIPE, text=True) as process:
        try:
            out, told = process.communicate(timeout=PROCESS_S - HANGS_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it says where it hangs
            pytest.fail("\n".join(process.communicate(timeout=HANGS_S)))
    return subprocess.CompletedProcess(command, process.returncode, out, told)


@pytest.fixture(scope="module")
def told_to_ignore(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A run with a worker that was told to ignore every signal: under nohup, in the background of a script."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORABLE}
    try:
        return run_pytest(tmp_path_factory.mktemp("ignoring"), [SKIPPING, HEARING], "--numprocesses", "1")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_end_says_how_many_were_skipped_and_how_to_run_them(
    tmp_path: Path, told_to_ignore: subprocess.CompletedProcess[str], workers: int
) -> None:
    done = told_to_ignore if workers else run_pytest(tmp_path, [SKIPPING], "--numprocesses", "0")

    assert done.returncode == 0, done.stdout
    assert "1 skipped: curl (make test, with Debian's package curl installed)" in done.stdout
    assert "1 skipped: Docker (make compose-test)" in done.stdout
    assert "--randomly-seed=" in done.stdout


@pytest.fixture(scope="module")
def skipping_for_nothing(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A run of a test, and of a module, that are skipped for no tool."""
    on = ("--continue-on-collection-errors", "--numprocesses", "1")
    return run_pytest(tmp_path_factory.mktemp("lazy"), [LAZY, WHOLE], *on)


@pytest.mark.parametrize("why", ["skipped, but for no tool", "a whole module skips itself"])
def test_a_skip_for_anything_else_fails_the_run(
    skipping_for_nothing: subprocess.CompletedProcess[str], why: str
) -> None:
    assert skipping_for_nothing.returncode != 0, skipping_for_nothing.stdout
    assert "1 failed, 1 error in" in skipping_for_nothing.stdout
    assert why in skipping_for_nothing.stdout


@pytest.mark.parametrize("tool", HOW_TO_RUN)
def test_every_tool_has_a_line_of_its_own(tool: Tool) -> None:
    reasons = [reason_for(tool), "Skipped: " + reason_for(tool, "with\nmore")]

    assert [wanted_tool(reason) for reason in reasons] == [tool, tool]
    assert len(summary_of(reasons)) == 1
    assert summary_of(reasons)[0].startswith(f"2 skipped: {tool} (make ")


def test_a_reason_without_a_tool_has_none() -> None:
    assert wanted_tool("Skipped: needs time") is None
    assert wanted_tool("needs curly braces") is None


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        ("tests/unit/reflex/test_guard.py::test_x[a::b]", "tests/unit/reflex/test_guard.py"),
        ("tests/contract/test_auth.py::test_y", "tests/contract/"),
        ("tests/contract/test_control_keys.py::test_y[a/b]", "tests/contract/test_control_keys.py"),
    ],
)
def test_a_file_runs_on_one_worker_and_so_does_a_folder_that_shares_servers(nodeid: str, unit: str) -> None:
    assert unit_of_work(nodeid) == unit


def test_what_lasts_longest_goes_first_and_the_rest_stays_in_its_order() -> None:
    names = ["unit/reflex/test_b.py", "unit/reflex_export/test_c.py", "integration/test_d.py", "contract/test_e.py",
             "chaos/test_f.py", "unit/reflex/test_a.py"]  # fmt: skip
    items = [SimpleNamespace(nodeid=f"tests/{name}::test_it") for name in names]

    longest_first(items)  # type: ignore[arg-type]

    assert [names.index(item.nodeid[6:-9]) for item in items] == [3, 2, 4, 1, 0, 5]


def targets_made_by(script: str) -> set[str]:
    """Every target of every `make` in a shell script, however many one is given; a comment makes none."""
    code = "\n".join(line.partition("#")[0] for line in script.splitlines())
    return {
        word for words in re.findall(r"\bmake\b([^;&|\n]*)", code) for word in words.split() if TARGET.fullmatch(word)
    }


def test_targets_are_those_of_every_make_and_of_no_comment() -> None:
    script = "# make nothing\nmake a\nmake b-c d X=1 &\ntimeout 3 make e  # make f\nif make --silent g; then\n"

    assert targets_made_by(script) == {"a", "b-c", "d", "e", "g"}


def test_what_make_test_leaves_out_is_run_by_another_target_of_ci() -> None:
    """`make whole-runs` runs all of it but for what others do, each of which CI runs."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    run = targets_made_by((REPOSITORY / ".ci" / "run").read_text(encoding="utf-8"))
    recipes = dict(re.findall(r"^([a-z-]+): .*##.*\n((?:\t.*\n)+)", makefile, re.MULTILINE))
    [elsewhere] = re.findall(r"^RUN_ELSEWHERE := (.*)$", makefile, re.MULTILINE)
    names = elsewhere.split()

    assert "-m 'slow and not timing'" in recipes["whole-runs"]
    assert "whole-runs" in run
    for name in names:
        running = {target for target, recipe in recipes.items() if re.search(rf"{re.escape(name)}(?![\w/])", recipe)}
        assert running & run, name


def test_hypothesis_examples_come_of_the_seed_that_orders_the_tests(pytestconfig: pytest.Config) -> None:
    asked_for = pytestconfig.getoption("hypothesis_seed", None)
    expected = asked_for or pytestconfig.getoption("randomly_seed", None)

    assert str(core.global_force_seed) == str(expected)


def test_what_a_test_starts_hears_signals_that_the_run_was_told_to_ignore(
    told_to_ignore: subprocess.CompletedProcess[str],
) -> None:
    assert told_to_ignore.returncode == 0, told_to_ignore.stdout
    assert "1 passed, 2 skipped, 1 xfailed in" in told_to_ignore.stdout
