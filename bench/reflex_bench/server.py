"""Starts the `reflex serve` under test, and finds the Triton behind it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from reflex_bench.nonce_policy import write_nonce_policy

__all__ = ["Served", "nonce_server", "older_nonce_server", "reflex_server"]

START_TIMEOUT_S = 60.0
WRITE_POLICY = (
    "import sys, pathlib; from reflex_bench.nonce_policy import write_nonce_policy; "
    "write_nonce_policy(pathlib.Path(sys.argv[1]))"
)
NO_ENV: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its port, its process, and its embedded Triton's gRPC address."""

    port: int
    pid: int
    triton: str
    repository: Path


@contextlib.contextmanager
def nonce_server(*options: str, delay_ms: float = 0, env: Mapping[str, str] = NO_ENV) -> Iterator[Served]:
    """`reflex serve` with the nonce policy, guard off (a nonce is no joint position), stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="reflex-bench-") as folder:
        repository = Path(folder) / "models"
        repository.mkdir()
        write_nonce_policy(repository, delay_ms=delay_ms)
        with reflex_server(repository, "--no-guard", *options, env=env) as served:
            yield served


@contextlib.contextmanager
def older_nonce_server(checkout: Path) -> Iterator[Served]:
    """The same of another checkout in which `make install` has run: its own code, policy and packages."""
    python = checkout.resolve() / ".venv" / "bin" / "python"
    if not python.is_file():
        raise SystemExit(f"{checkout} has no .venv/bin/python: check a version out there, and run `make install`")
    with tempfile.TemporaryDirectory(prefix="reflex-bench-") as folder:
        repository = Path(folder) / "models"
        repository.mkdir()
        subprocess.run([python, "-c", WRITE_POLICY, repository], check=True)
        with reflex_server(repository, "--no-guard", python=str(python)) as served:
            yield served


@contextlib.contextmanager
def reflex_server(
    repository: Path,
    *options: str,
    env: Mapping[str, str] = NO_ENV,
    start_s: float = START_TIMEOUT_S,
    python: str = sys.executable,
) -> Iterator[Served]:
    """`reflex serve` on a model repository, stopped at the end; `RuntimeError` when it is not ready by `start_s`."""
    with tempfile.TemporaryDirectory(prefix="reflex-bench-") as folder:
        log, port = Path(folder) / "serve.log", _free_port()
        arguments = ["serve", "--model-repository", str(repository), "--port", str(port), *options]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "-m", "reflex.cli", *arguments],
                stdout=output,
                stderr=output,
                env={**os.environ, **env},
            )
        try:
            _wait_ready(process, port, log, start_s)
            triton = re.search(r"Triton at (\S+) after", log.read_text())
            assert triton is not None
            yield Served(port, process.pid, triton[1], repository)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path, start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            if "ready:" in log.read_text():
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not become ready:\n{log.read_text()}")
