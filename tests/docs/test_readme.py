"""Every example of the README runs, against the server that the README says how to start; so do the Python examples of
the guides, against the policy that `reflex serve` serves by itself.

Two things differ from what a reader does: the port, for 8000 may be taken, and the environment, which is the one that
the tests run in.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from docs.documents import REPOSITORY, Block, blocks_of, documents
from reflex.policy_config import read_policy_config
from support.server import ServerProcess, free_port, running_server
from support.skips import skip_for_want_of
from support.waiting import HANGS_S

README = REPOSITORY / "README.md"
EXAMPLES = REPOSITORY / "examples"
BIN = Path(sys.executable).parent
EXAMPLE_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = HANGS_S
SHOWN_OF_ONE_RUN = {"actions", "latency_ms", "hz", "request_id", "timing"}
OTHER_PROCESSORS = 0.5
"""Degrees and percent: another processor rounds the weights of FP16 otherwise."""
NOT_RUN = ("make ", "pip install ")
"""A block that begins so has a test of its own: it would install packages, or run these very tests."""


def readme_blocks(language: str) -> list[Block]:
    return [block for block in blocks_of(README) if block.language == language]


RUNNABLE = [block for block in readme_blocks("bash") if not block.code.startswith(NOT_RUN)]
ELSEWHERE = ("sdk.md", "training.md")
"""Ask a control plane: tests/docs/test_first_session.py and tests/contract/training/ run them."""
WITH_PYTHON = [
    path
    for path in documents()
    if path.name not in ELSEWHERE and any(block.language == "python" for block in blocks_of(path))
]


@contextlib.contextmanager
def made_server() -> Iterator[ServerProcess]:
    """`make serve`, in a process group of its own as a terminal gives it; nothing is installed for it."""
    port = free_port()
    command = [*make_without_install("serve"), f"BIN={BIN}", f"ARGS=--port {port}"]
    with tempfile.NamedTemporaryFile(prefix="make-serve-", suffix=".log") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        server = ServerProcess(process, port, Path(log.name))
        try:
            server.wait_ready()
            yield server
            ctrl_c_ends_everything(server)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ctrl_c_ends_everything(server: ServerProcess) -> None:
    """What a terminal does: SIGINT to everybody in the group. `make serve` ends, and leaves nothing."""
    family = [psutil.Process(server.process.pid), *server.children()]
    assert "tritonserver" in {process.name() for process in family}
    assert server.health().json()["status"] == "ready"

    os.killpg(server.process.pid, signal.SIGINT)
    server.process.wait(STOP_TIMEOUT_S)

    assert psutil.wait_procs(family, timeout=HANGS_S)[1] == []
    assert "stopped" in server.log


def make_without_install(target: str) -> list[str]:
    return ["make", "--old-file", ".venv/.installed", "--old-file", ".venv/.serves", target]


def environment() -> dict[str, str]:
    """Ours, with this environment's programs first."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def for_port(code: str, port: int) -> str:
    """An example as it is, but for the port and for the line that enters the environment."""
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("localhost:8000", f"127.0.0.1:{port}")
    code = code.replace("reflex act ", f"reflex act --url http://127.0.0.1:{port} ")
    return code.replace(". .venv/bin/activate\n", "")


def run_example(command: list[str]) -> str:
    """Its stdout; fails with its stderr when it ends with another code than 0."""
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=EXAMPLE_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with made_server() as made:
        yield made


@pytest.fixture(scope="module")
def demo_server() -> Iterator[ServerProcess]:
    with running_server() as started:
        yield started


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: f"line{block.line}")
def test_the_shell_examples_run(server: ServerProcess, block: Block) -> None:
    if "curl" in block.code and shutil.which("curl") is None:
        skip_for_want_of("curl")

    assert run_example(["bash", "-euo", "pipefail", "-c", for_port(block.code, server.port)])


def test_the_curl_example_gets_the_answer_that_is_shown(server: ServerProcess) -> None:
    if shutil.which("curl") is None:
        skip_for_want_of("curl")
    [curl] = [block for block in RUNNABLE if block.code.startswith("curl")]
    [shown] = readme_blocks("json")

    answer = json.loads(run_example(["bash", "-c", for_port(curl.code, server.port)]))

    told = json.loads(shown.code)
    assert [list(told), list(told["timing"])] == [list(answer), list(answer["timing"])]
    assert {name for name in told if told[name] != answer[name]} <= SHOWN_OF_ONE_RUN
    assert len(answer["actions"]) == told["num_actions"]
    assert answer["actions"][-1:] == [pytest.approx(told["actions"][0], abs=OTHER_PROCESSORS)]


@pytest.mark.parametrize("document", WITH_PYTHON, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_python_examples_run(document: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """All of one document in order, as one program whose line numbers are the document's."""
    server: ServerProcess = request.getfixturevalue("server" if document == README else "demo_server")
    lines: list[str] = []
    for block in blocks_of(document):
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
    program = tmp_path / f"{document.stem}.py"
    program.write_text(for_port("\n".join(lines) + "\n", server.port), encoding="utf-8")

    run_example([sys.executable, str(program)])


def test_make_test_runs_pytest() -> None:
    commands = run_example(["make", "--no-print-directory", "--dry-run", *make_without_install("test")[1:]])

    assert re.search(r"-m pytest .*--numprocesses \d", commands)


def test_the_make_blocks_are_the_three_commands() -> None:
    assert [block.code for block in readme_blocks("bash") if block.code.startswith("make ")] == [
        "make serve\n",
        "make sim\n",
        "make test\n",
    ]


def test_what_the_readme_installs_is_what_the_project_offers() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [install] = [block for block in readme_blocks("bash") if block.code.startswith("pip install ")]
    package, extras = re.findall(r"'([\w-]+)\[([\w,]+)\]'", install.code)[0]

    assert package == project["name"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert install.code.splitlines()[1:] == ["reflex serve"]
    assert "reflex" in project["scripts"]


def test_every_block_of_the_readme_is_one_that_is_tested() -> None:
    assert {block.language for block in blocks_of(README)} == {"bash", "python", "json"}


def test_the_readme_says_which_policy_is_trained_and_that_no_real_arm_may_follow_either() -> None:
    shipped = REPOSITORY / "model_repository"
    text = README.read_text(encoding="utf-8")

    assert read_policy_config(shipped / "demo").trained is False
    assert "**is untrained**" in text
    assert read_policy_config(shipped / "pick_up_the_cube").trained is True
    assert (
        "**Let no real arm follow what comes with Reflex.** `pick_up_the_cube` is for the simulated arm alone" in text
    )


def test_what_make_serve_says_of_its_policy_is_what_the_readme_says(server: ServerProcess) -> None:
    ready = server.ready_line()

    assert "serves pick_up_the_cube@" in ready
    assert "(trained, simulation only: not for a real robot)" in ready


@pytest.mark.slow
def test_the_example_loop_runs_against_the_server_of_the_readme(server: ServerProcess) -> None:
    told = run_example([sys.executable, str(EXAMPLES / "control_loop.py"), server.base_url, "1"])

    assert re.fullmatch(r"[1-9]\d* actions for so101_sim, 30 a second\n", told)
