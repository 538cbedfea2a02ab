"""Whether the tests of a module notice a fault in it: each trial is a forked process that imports the faulty text.

The file in the working tree is not touched: the import system is handed the text instead. The parent imports what is
heavy and not ours once, so a trial costs little more than its tests.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import entry_points
from importlib.util import spec_from_file_location
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType
from typing import Final

import hypothesis
import pytest

from mutants.targets import Target

__all__ = ["NEVER_IMPORTED", "PASSED", "Outcome", "Trial", "run_trials", "warm_up"]

HEAVY: Final = (
    "PIL.Image", "fastapi", "httpx", "huggingface_hub", "hypothesis.extra.numpy", "numpy.testing", "onnx_ir", "orjson",
    "prometheus_client", "pydantic_settings", "rich.progress", "simplejpeg", "tokenizers", "tritonclient.grpc.aio",
    "typer",
)  # fmt: skip
"""Not ONNX Runtime: its threads do not survive a fork."""
PASSED: Final = 0
NEVER_IMPORTED: Final = 99
"""Exit code of a trial whose tests have not even imported the module."""
MEMORY_BYTES: Final = 16 * 2**30
"""Of addresses: a fault that fills the memory must not take the machine with it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`source` in place of the target's text, under the target's tests, for at most `limit_s`."""

    target: Target
    source: str
    limit_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the tests of trial `number` ended: 0 is passed, None ran into its limit. `log` is what pytest printed."""

    number: int
    exit_code: int | None
    took_s: float
    log: str


def warm_up() -> None:
    """Import once what every trial would import for itself."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a forked process has none of its parent's threads
    for name in HEAVY:
        importlib.import_module(name)
    for plugin in entry_points(group="pytest11"):
        plugin.load()


def run_trials(trials: Iterable[Trial], repository: Path, scratch: Path, workers: int) -> Iterator[Outcome]:
    """The outcomes in the order in which they come, from at most `workers` processes at a time."""
    waiting = enumerate(trials)
    running: list[_Running] = []
    try:
        while True:
            while len(running) < workers and (following := next(waiting, None)) is not None:
                running.append(_start(*following, repository, scratch))
            if not running:
                return
            wait([one.process.sentinel for one in running], max(0.0, min(one.left_s for one in running)))
            for one in [one for one in running if one.has_ended or one.left_s <= 0]:
                running.remove(one)
                yield one.end()
    finally:
        for one in running:
            one.end()


@dataclass(frozen=True, slots=True)
class _Running:
    number: int
    process: BaseProcess
    scratch: Path
    started_s: float
    limit_s: float

    @property
    def left_s(self) -> float:
        return self.started_s + self.limit_s - time.monotonic()

    @property
    def has_ended(self) -> bool:
        return bool(wait([self.process.sentinel], 0))

    def end(self) -> Outcome:
        """Ends also what the tests have started and left behind."""
        is_late, took_s = not self.has_ended, time.monotonic() - self.started_s
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.ident or 0, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        log = (self.scratch / "log").read_text(encoding="utf-8", errors="replace")
        shutil.rmtree(self.scratch, ignore_errors=True)
        return Outcome(self.number, None if is_late else self.process.exitcode, took_s, log)


def _start(number: int, trial: Trial, repository: Path, scratch: Path) -> _Running:
    own = scratch / str(number)
    own.mkdir()
    (own / "log").touch()
    code = compile(trial.source, str(repository / trial.target.path), "exec", dont_inherit=True)
    process = multiprocessing.get_context("fork").Process(target=_test, args=(trial.target, code, repository, own))
    process.start()
    return _Running(number, process, own, time.monotonic(), trial.limit_s)


def _test(target: Target, code: CodeType, repository: Path, scratch: Path) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    log = os.open(scratch / "log", os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(repository)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch / "hypothesis")
    # The same examples for every fault, and the first that fails is enough: nobody reads a smaller one.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
    finder = _OneModule(target.module, code)
    sys.meta_path.insert(0, finder)
    sys.dont_write_bytecode = True
    ended = pytest.main(_arguments(target.tests, scratch))
    sys.stdout.flush()
    # At once: a thread that a fault has left hanging must not count as noticed.
    os._exit(int(ended) if finder.was_asked else NEVER_IMPORTED)


def _arguments(tests: Sequence[str], scratch: Path) -> list[str]:
    own = ("--exitfirst", "--quiet", "--hypothesis-profile=mutants", f"--basetemp={scratch / 'tmp'}")
    # Hypothesis is here before pytest, which would have liked to rewrite its assertions.
    quiet = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
    return [*own, *quiet, "-p", "no:cacheprovider", "-p", "no:randomly", "--override-ini=timeout=0", *tests]


class _OneModule(MetaPathFinder):
    """Finds one module, with this code in place of its file's."""

    def __init__(self, module: str, code: CodeType) -> None:
        self._module, self._code = module, code
        self.was_asked = False

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        self.was_asked = True
        path = self._code.co_filename
        return spec_from_file_location(fullname, path, loader=_CodeLoader(fullname, path, self._code))


class _CodeLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, code: CodeType) -> None:
        super().__init__(fullname, path)
        self._code = code

    def get_code(self, _fullname: str) -> CodeType:
        return self._code
