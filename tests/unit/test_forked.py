"""A server that the tests fork is what `python -m` would have started; where it would not be, it is not forked."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.forked.starting import WORKER, Forked, start_module
from support.waiting import HANGS_S, wait_until

# The name of its folder, without which another test's module of the same name would be found.
MODULE = "told_by_test_forked"
TELLING = """
    import json, os, resource, signal, sys
    print(json.dumps({
        "argv": sys.argv, "name": __name__, "folder": os.getcwd(), "path": sys.path,
        "environment": dict(os.environ), "open": len(os.listdir("/proc/self/fd")), "terminal": sys.stdout.isatty(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "handlers": [str(signal.getsignal(each)) for each in (2, 13, 15, 17)],
    }))
    print("said", file=sys.stderr)
    sys.exit(7)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder, in which this process is."""
    (tmp_path / f"{MODULE}.py").write_text(textwrap.dedent(TELLING), encoding="utf-8")
    monkeypatch.setenv(WORKER, "gw0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(folder: Path, *arguments: str, **variables: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = folder / "log"
    with log.open("wb") as output:
        return start_module(MODULE, arguments, output=output, env={**os.environ, **variables}), log


def told(folder: Path, *arguments: str, **variables: str) -> tuple[bool, int, Mapping[str, object], str]:
    """Whether it was forked, its exit code, what it saw, and what it said besides."""
    process, log = started(folder, *arguments, **variables)
    code = process.wait(HANGS_S)
    lines = log.read_text(encoding="utf-8").splitlines()
    seen = json.loads(next(line for line in lines if line.startswith("{")))
    return isinstance(process, Forked), code, seen, "".join(line for line in lines if not line.startswith("{"))


@pytest.fixture
def few_files() -> Iterator[None]:
    """Another limit than the mother began with, as a server that ran in this process has left one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_a_forked_module_sees_what_another_sees(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forked = told(module, "--port", "1", REFLEX_LOG_LEVEL="debug", PYTHONPATH="/nowhere")
    monkeypatch.delenv(WORKER)
    plain = told(module, "--port", "1", REFLEX_LOG_LEVEL="debug", PYTHONPATH="/nowhere", **{WORKER: "gw0"})

    assert (forked[0], plain[0]) == (True, False)
    assert forked[1:] == plain[1:]
    assert forked[1] == 7


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED", "LD_PRELOAD", "OMP_NUM_THREADS"])
def test_what_counts_as_a_process_begins_makes_it_one_of_its_own(module: Path, variable: str) -> None:
    assert not told(module, **{variable: "3" if variable != "LD_PRELOAD" else ""})[0]


def test_so_does_a_signal_that_is_ignored_and_a_mask_of_new_files(module: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert not told(module)[0]
    finally:
        signal.signal(signal.SIGHUP, before)
    mask = os.umask(0o077)
    try:
        assert not told(module)[0]
    finally:
        os.umask(mask)


def test_one_that_is_killed_says_by_what_and_its_sisters_live(module: Path) -> None:
    (module / f"{MODULE}.py").write_text("import time\nprint(1, flush=True)\ntime.sleep(600)\n", encoding="utf-8")
    first, log = started(module)
    second, _ = started(module)
    try:
        assert isinstance(first, Forked)
        wait_until(lambda: log.read_text() == "1\n", "it runs")
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.01)
        first.kill()

        assert first.wait(HANGS_S) == -signal.SIGKILL
        assert second.poll() is None
    finally:
        first.kill()
        second.terminate()
    assert second.wait(HANGS_S) == -signal.SIGTERM


def test_an_exception_ends_one_as_it_ends_any(module: Path) -> None:
    (module / f"{MODULE}.py").write_text("raise LookupError('of its own')\n", encoding="utf-8")
    process, log = started(module)

    assert process.wait(HANGS_S) == 1
    assert log.read_text().endswith("LookupError: of its own\n")


def test_when_the_owner_is_gone_so_is_the_mother(tmp_path: Path) -> None:
    script = f"""
import os, sys
os.environ[{WORKER!r}] = "gw0"
from support.forked import starting
print(starting._mother()._process.pid, flush=True)
os._exit(0)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    made = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    wait_until(lambda: not Path(f"/proc/{made.stdout.strip()}/cmdline").exists(), "she is gone")
