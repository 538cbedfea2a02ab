"""Ctrl-C and SIGTERM at any instant: 130, one true sentence, and a repository that is the old one or the new one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.checkpoints.golden import golden_folder
from support.waiting import HANGS_S, let_pass, wait_until

pytestmark = pytest.mark.slow

COMMAND = "from reflex.cli import main; main()"
INSTANTS = 10
FEW = (2, 5, 8)
"""Of them in `make test`; `make endurance` takes all."""
CHECKPOINT = os.environ.get("REFLEX_INTERRUPTED_EXPORT", "act")
"""The quickest; `make endurance` interrupts a SmolVLA's export, which tries twice where the FP16 gate is missed."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def contents(repository: Path) -> dict[str, int]:
    """What lies in the repository by inode: a file that was written again is another one."""
    return {str(path.relative_to(repository)): path.stat().st_ino for path in sorted(repository.rglob("*"))}


@contextlib.contextmanager
def started(arguments: Sequence[str], temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """`reflex` with these arguments, once its command has begun; its temporary folders lie in a folder of their own."""
    temporary.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(temporary), "PATH": "", "HOME": str(temporary)},
    ) as process:
        try:
            wait_until(lambda: hears(process.pid, signal.SIGTERM), "its command has begun")
            yield process
        finally:
            process.kill()


def hears(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for this signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


def end(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=HANGS_S)
    return Ended(process.returncode, out, err)


def export_arguments(repository: Path, checkpoint: str, *more: str) -> list[str]:
    options = ["--name", "arm", "--embodiment", "so101", "--repository", str(repository), "--precision", "fp16"]
    return ["export", str(golden_folder(checkpoint).resolve()), *options, *more, "--force", "--replace"]


@pytest.fixture(scope="module")
def duration_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an undisturbed export takes here and now."""
    folder = tmp_path_factory.mktemp("undisturbed")
    started_s = time.monotonic()
    with started(export_arguments(folder / "models", CHECKPOINT), folder / "tmp") as process:
        assert end(process).code == 0
    return time.monotonic() - started_s


@pytest.mark.parametrize(
    "number", [pytest.param(tenth, marks=() if tenth in FEW else pytest.mark.slow) for tenth in range(INSTANTS)]
)
def test_an_export_that_is_interrupted_leaves_the_repository_as_it_was_or_whole(
    tmp_path: Path, duration_s: float, number: int
) -> None:
    repository = tmp_path / "models"
    (repository / "arm").mkdir(parents=True)
    (repository / "arm" / "config.pbtxt").write_text("the old one")
    before = contents(repository)

    with started(export_arguments(repository, CHECKPOINT), tmp_path / "tmp") as process:
        # One in each tenth of the time, at an instant that differs from run to run.
        let_pass(duration_s * (number + random.random()) / INSTANTS)
        process.send_signal(SIGNALS[number % 2])
        ended = end(process)

    assert_true(ended, repository, before)
    assert list((tmp_path / "tmp").glob("reflex-*")) == []


def assert_true(ended: Ended, repository: Path, before: dict[str, int]) -> None:
    """What the command says became of the repository is what became of it."""
    is_as_before = contents(repository) == before
    if "published in" in ended.err:  # it was done already; the signal may still have ended the process
        assert ended.code in (0, 130, -signal.SIGINT, -signal.SIGTERM), ended.err
    else:
        assert ended.code == 130, ended.err
        (sentence,) = ended.err.splitlines()
        assert sentence.startswith("reflex: interrupted")
        assert ("is as it was" in sentence) == is_as_before
    assert is_as_before or (repository / "arm" / "reflex_config.json").is_file()
    assert not list(repository.glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_first_export_leaves_no_repository_and_no_scratch_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    repository = tmp_path / "models"

    with started(export_arguments(repository, "smolvla", "--steps", "2"), tmp_path / "tmp") as process:
        wait_until(lambda: list(repository.glob(".reflex-export-*")), "the export writes")
        for _ in range(3):  # the impatient press it again: the tidying up goes on
            process.send_signal(number)
        ended = end(process)

    assert ended.code == 130
    assert ended.err == f"reflex: interrupted; {repository} is as it was\n"
    assert not repository.exists()


def test_an_interrupted_command_still_prints_one_json_value(tmp_path: Path) -> None:
    repository = tmp_path / "models"

    with started(export_arguments(repository, "smolvla", "--steps", "2", "--json"), tmp_path / "tmp") as process:
        wait_until(lambda: list(repository.glob(".reflex-export-*")), "the export writes")
        process.send_signal(signal.SIGINT)
        ended = end(process)

    assert (ended.code, ended.err) == (130, "")
    assert json.loads(ended.out)["error"] == "interrupted"
