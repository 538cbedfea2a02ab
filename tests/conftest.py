"""For every test: nothing is reported to anybody, what it starts hears every signal, and a skip has a known reason."""

from __future__ import annotations

import gc
import logging
import os
import re
import signal
import socketserver
import sys
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import core, settings

from support.forked.starting import usual_circumstances
from support.server import logs
from support.skips import summary_of, wanted_tool
from support.workers import FileScheduling, longest_first

# Before a test imports onnxruntime, which otherwise reports its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Four workers on two cores: a matrix product of one of them that wants all cores waits for the others.
# pytest-randomly has loaded numpy before this is read: it is the workers, started from here, that take it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Collecting makes what lives to the end: looking for garbage in it finds none and takes a tenth of a run.
gc.disable()

# What the `make` around us was told (`make test ARGS=...`) is not for the makes that the tests start.
for word in re.findall(r"(?:^|(?<!\\)\s)(\w+)=", os.environ.get("MAKEFLAGS", "")):
    os.environ.pop(word, None)
for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(name, None)

# How long an example takes is the machine's affair; what has to be quick is a promise.
settings.register_profile("reflex", deadline=None)
settings.load_profile("reflex")

pytest_plugins = ["support.promise", "support.clock", "docs.commands"]

# What runs under nohup ignores a hang-up, and what a script runs in the background Ctrl-C: so would a test's servers,
# for what is ignored is so in a child. A handler is not handed on, and with it the tests still ignore it.
HEARD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
for number in HEARD:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else lambda *_: None)


# A client of a test's own server that leaves as the test ends resets its connection: there is nobody to tell it to.
_told = socketserver.BaseServer.handle_error


def _tell(self: socketserver.BaseServer, request: Any, client_address: Any) -> None:
    if not isinstance(sys.exception(), ConnectionError):
        _told(self, request, client_address)


setattr(socketserver.BaseServer, "handle_error", _tell)  # noqa: B010 - for mypy, a function's `self` is an argument


@pytest.fixture(autouse=True)
def _own_logs() -> Generator[None]:
    """A command that runs in the tests' own process sets its logs up: they end with the test, as its output does."""
    root, ours = logging.getLogger(), logging.getLogger("reflex")
    before = root.level, ours.level, ours.handlers[:], root.handlers[:]
    yield
    root.handlers[:] = before[3]
    ours.handlers[:] = before[2]
    root.setLevel(before[0])
    ours.setLevel(before[1])


@pytest.fixture(autouse=True)
def _own_signals() -> Generator[None]:
    """A command that runs in the tests' own process hears signals itself: the next test finds them heard as before."""
    before = [(number, signal.getsignal(number)) for number in HEARD]
    yield
    for number, handler in before:
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling:
    config.option.loadscopereorder = False
    return FileScheduling(config, log)


def pytest_collection_finish() -> None:
    """What a forked server has in common with every other one: what the imports of the tests set is part of it."""
    usual_circumstances()


def pytest_sessionstart(session: pytest.Session) -> None:
    """The seed that repeats an order repeats Hypothesis' examples, too."""
    if core.global_force_seed is None:
        core.global_force_seed = session.config.getoption("randomly_seed", None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on, garbage is that of the tests."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and wanted_tool(reason_of(report)) is None:
        report.outcome = "failed"
        report.longrepr = f"skipped, but for no tool that tests/support/skips.py knows: {reason_of(report)}"
    if report.failed:
        report.sections += [(f"log of reflex serve at {address}", log) for address, log in logs().items()]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"a whole module skips itself, and nobody can count its tests: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in summary_of(reason_of(report) for report in terminalreporter.getreports("skipped")):
        terminalreporter.write_line(line, yellow=True)


def reason_of(report: pytest.TestReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
