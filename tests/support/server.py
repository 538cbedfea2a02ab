"""Runs the real `reflex serve` as users do: a process of its own, on a loopback port, with its embedded Triton."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import psutil

from support.forked.starting import start_module
from support.waiting import HANGS_S, wait_until

__all__ = ["ServerProcess", "free_port", "is_healthy", "logs", "running_server"]

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = HANGS_S
FIRST_PORT = 20_000
PORTS = 12_000
"""Up to 32,000: from 32,768 on they are Linux' to give."""
LOG_LINES = 60
"""Of each server, beside the failure of a test."""
_RUNNING: list[ServerProcess] = []
_PORT_NUMBERS = itertools.count(os.getpid() * 997)


@dataclass
class ServerProcess:
    """A started server. `process` is the frontend; Triton is its child."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        """Triton and its model processes."""
        children: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return children

    def triton(self) -> psutil.Process:
        """The tritonserver process; raises `LookupError` while there is none."""
        for child in self.children():
            with contextlib.suppress(psutil.Error):
                if child.name() == "tritonserver":
                    return child
        raise LookupError("no tritonserver is running")

    def ready_line(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """What the log says once every policy is ready; /health is 200 with the first, and a little before that."""
        ready = re.compile(r".*ready: POST .* on Triton at \S+ after.*")
        wait_until(lambda: ready.search(self.log), "its log says that every policy is ready", timeout_s=timeout_s)
        return str(ready.findall(self.log)[0])

    def triton_address(self) -> str:
        """host:port of its Triton."""
        return self.ready_line().partition(" on Triton at ")[2].partition(" ")[0]

    def in_flight(self) -> float:
        """How many requests Triton works on, by /metrics."""
        text = httpx.get(f"{self.base_url}/metrics", timeout=HANGS_S, verify=False).text
        return sum(map(float, re.findall(r"^reflex_in_flight_requests\{.*\} (\S+)$", text, re.MULTILINE)))

    def health(self) -> httpx.Response:
        """Without reading the certificates, which takes 20 ms of CPU for each look."""
        return httpx.get(f"{self.base_url}/health", timeout=HANGS_S, verify=False)

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> float:
        """Seconds until /health said ready."""

        def is_ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
            return is_healthy(self.port)

        try:
            return wait_until(is_ready, "the server is ready", timeout_s=timeout_s)
        except AssertionError as exc:
            exc.add_note(self.log)
            raise

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)


def is_healthy(port: int) -> bool:
    """Whether GET /health is 200, by a client that costs a tenth of httpx: a start asks a hundred times."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Below those that the system gives to whoever asks for any, and in a stretch of this process's own.

    Nobody takes it in the second that a server needs until it listens there.
    """
    for number in _PORT_NUMBERS:
        port = FIRST_PORT + number % PORTS
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable: the numbers do not end")


@contextlib.contextmanager
def running_server(
    *options: str, env: dict[str, str] | None = None, ready: bool = True, port: int | None = None
) -> Iterator[ServerProcess]:
    """`reflex serve *options` on a free port; stopped, and killed with all its children if need be, at the end."""
    port = free_port() if port is None else port
    with tempfile.NamedTemporaryFile(prefix="reflex-serve-", suffix=".log") as log:
        arguments = ["serve", "--port", str(port), *options]
        process = start_module("reflex.cli", arguments, output=log, env={**os.environ, **(env or {})})
        server = ServerProcess(process, port, Path(log.name))
        _RUNNING.append(server)
        try:
            if ready:
                server.wait_ready()
            yield server
        finally:
            _RUNNING.remove(server)
            _end(server)


def logs() -> dict[str, str]:
    """What each running server said last, by its address."""
    return {server.base_url: "\n".join(server.log.splitlines()[-LOG_LINES:]) for server in _RUNNING}


def command(port: int, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "reflex.cli", "serve", "--port", str(port), *options]


def _end(server: ServerProcess) -> None:
    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        children = server.children()
    try:
        server.stop()
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
