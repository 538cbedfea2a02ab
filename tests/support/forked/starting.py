"""Starts `python -m MODULE` without waiting for its imports: `mother` has made them, once for each worker of the tests.

A server is a second of CPU until it has imported what it needs, and the tests start hundreds. Where what is measured is
the start itself, or the environment decides what is imported, a process of its own is started as ever.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

__all__ = ["Forked", "start_module", "usual_circumstances"]

WORKER: Final = "PYTEST_XDIST_WORKER"
"""Set in the workers of `make test` and its like, and not where times are measured."""
READ_AT_START: Final = ("PYTHON", "LD_", "MALLOC_", "OMP_", "OPENBLAS_", "GRPC_", "SSL_", "OPENSSL_")
"""Variables that count when a process begins, or when something is imported."""
SET_AGAIN: Final = frozenset({"PYTHONPATH"})
DEAF_TO: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
LIMITS: Final = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))
"""Handed on: what runs in the tests' own process may have raised that of open files."""
SLICE_S: Final = 0.1


def start_module(
    module: str, arguments: Sequence[str], *, output: IO[bytes], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """`python -m module *arguments` in this folder; stdout and stderr go to `output`."""
    if WORKER in os.environ and _circumstances(env) == usual_circumstances():
        return Forked(_mother(), module, arguments, output, env)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=dict(env))


def _circumstances(environment: Mapping[str, str]) -> tuple[object, ...]:
    """All that a process takes over from whoever starts it, but for what it is told."""
    counting = {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}
    variables = frozenset(item for item in counting.items() if item[0] not in SET_AGAIN)
    ignored = tuple(number for number in DEAF_TO if signal.getsignal(number) is signal.SIG_IGN)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [mask] = [line for line in status.splitlines() if line.startswith("Umask")]
    return variables, ignored, mask, os.getpriority(os.PRIO_PROCESS, 0), frozenset(os.sched_getaffinity(0))


@functools.cache
def usual_circumstances() -> tuple[object, ...]:
    """Those of the first call, which is made before any test."""
    return _circumstances(os.environ)


class Mother:
    """This process's own; her endings are read by whichever child is asked about first."""

    def __init__(self) -> None:
        self._socket, hers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("mother.py")
        environment = {name: value for name, value in os.environ.items() if name not in SET_AGAIN}
        self._process = subprocess.Popen(
            [sys.executable, script, str(hers.fileno())], pass_fds=[hers.fileno()], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        hers.close()
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}

    def fork(self, wanted: Mapping[str, object], output: IO[bytes]) -> int:
        """The number of the new process."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(wanted).encode()], [output.fileno()])
            while "started" not in (told := self._told(None)):
                self._codes[told["ended"]] = told["code"]
            return told["started"]

    def code_of(self, child: int, timeout_s: float) -> int | None:
        """What a child ended with; None if it has not within so many seconds."""
        with self._lock:
            until = time.monotonic() + timeout_s
            while child not in self._codes and (told := self._told(max(until - time.monotonic(), 0.0))):
                self._codes[told["ended"]] = told["code"]
            return self._codes.get(child)

    def end(self) -> None:
        """Her owner is gone, which is all that she waits for."""
        self._socket.close()
        self._process.wait()

    def _told(self, timeout_s: float | None) -> dict[str, int]:
        self._socket.settimeout(timeout_s)
        try:
            told = self._socket.recv(4096)
        except (TimeoutError, BlockingIOError):
            return {}
        assert told, "the process that servers are forked from has ended: what it said stands above"
        answer: dict[str, int] = json.loads(told)
        return answer


class Forked(subprocess.Popen[bytes]):
    """A process that another one started and waits for; to its user it is like any that `subprocess` starts."""

    _child_created = False
    """Nothing for subprocess to wait for when this object is gone."""

    def __init__(
        self, mother: Mother, module: str, arguments: Sequence[str], output: IO[bytes], env: Mapping[str, str]
    ) -> None:
        limits = {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS}
        wanted = {
            "module": module,
            "arguments": list(arguments),
            "folder": str(Path.cwd()),
            "environment": dict(env),
            "limits": limits,
        }
        self.args = [sys.executable, "-m", module, *arguments]
        self.stdin = self.stdout = self.stderr = None
        self.returncode: int | None = None
        self._mother = mother
        self.pid = mother.fork(wanted, output)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._mother.code_of(self.pid, 0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.returncode is None:
            left = until - time.monotonic()
            # In slices, for between them another thread may start or ask.
            self.returncode = self._mother.code_of(self.pid, min(max(left, 0.0), SLICE_S))
            if self.returncode is None and timeout is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode


@functools.cache
def _mother() -> Mother:
    mother = Mother()
    atexit.register(mother.end)
    return mother
