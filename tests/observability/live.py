"""A stack to be watched: Triton with its metrics open, as compose.yaml starts it, and a frontend with all it can show.

That is two policies, a shadow, an objective that is missed, a recording, a guard that clamps, and errors now and then.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx
import yaml

from observability.files import REPOSITORY
from observability.prometheus import end
from reflex_bench.nonce_policy import set_behaviour
from reflex_frontend.embedded.command import Run, server_environment
from reflex_frontend.embedded.layout import backend_directory, cache_candidates, cache_folder
from reflex_frontend.embedded.locate import locate
from support.load import Answer, LoadClient, open_loop, run
from support.server import free_port, running_server
from support.two_policies import admin_environment, control_file, write_policies
from support.waiting import HANGS_S, wait_until

__all__ = ["Stack", "loaded", "running_stack"]

RATE_HZ: Final = 20.0
BROKEN_FROM_S: Final = 8.0
BROKEN_FOR_S: Final = 1.5
REFUSED_EVERY: Final = 10
ADMIN_SECRET: Final = "of-this-test-alone"


@dataclass(frozen=True)
class Stack:
    """Where Prometheus finds both, and where the policies are told how to behave."""

    frontend_port: int
    triton_metrics_port: int
    folder: Path


@contextlib.contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    repository = write_policies(folder)
    with _triton_of_compose(repository) as (grpc_port, metrics_port):
        policies = ("--policy-a", "first", "--policy-b", "second", "--shadow", "third", "--model-repository")
        watched = ("--slo", "p50=1ms", "--record", str(folder / "recordings"), "--admin-port", "0", "--robot-id", "r1")
        secret = {"REFLEX_TRITON_ADMIN_HEADER": f"reflex={ADMIN_SECRET}"}
        with running_server(
            *policies, str(repository), *watched, "--triton", f"grpc://127.0.0.1:{grpc_port}",
            env=admin_environment(folder) | secret,
        ) as server:  # fmt: skip
            yield Stack(server.port, metrics_port, folder)


def loaded(stack: Stack, seconds: float) -> list[Answer]:
    """Robots ask for so long; for a while the second policy fails, and some requests are refused."""
    return run(_load(stack, seconds))


async def _load(stack: Stack, seconds: float) -> list[Answer]:
    numbers = itertools.count()
    started = time.monotonic()
    async with LoadClient(stack.frontend_port) as client:

        async def ask() -> Answer:
            number = next(numbers)
            _break_second(stack, time.monotonic() - started)
            if number % REFUSED_EVERY == 0:
                return await client.post(b"{}")
            return await client.act(episode_id=f"episode-{number % 40}", request_id=str(number))

        return await open_loop(RATE_HZ, seconds, ask)


def _break_second(stack: Stack, elapsed_s: float) -> None:
    is_broken = BROKEN_FROM_S < elapsed_s < BROKEN_FROM_S + BROKEN_FOR_S
    set_behaviour(control_file(stack.folder, "second"), fault="error" if is_broken else None)


@contextlib.contextmanager
def _triton_of_compose(repository: Path) -> Iterator[tuple[int, int]]:
    """The command of compose.yaml's service on loopback; its gRPC and metrics ports."""
    grpc, http, metrics = free_port(), free_port(), free_port()
    ports = {
        "grpc-port=8001": f"grpc-port={grpc}", "http-port=8000": f"http-port={http}",
        "metrics-port=8002": f"metrics-port={metrics}",
    }  # fmt: skip
    with tempfile.NamedTemporaryFile(prefix="triton-", suffix=".log") as log:
        process = _started(repository, ports, log.file)
        try:
            _wait_ready(process, http, Path(log.name))
            yield grpc, metrics
        finally:
            end(process)


def _started(repository: Path, ports: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    installation = locate()
    backends = backend_directory(installation, cache_folder(cache_candidates(os.environ)))
    region = f"observed_{os.getpid()}_"
    server = (str(installation.server), f"--backend-directory={backends}")
    region_option = f"--backend-config=python,shm-region-prefix-name={region}"
    moved = {
        "exec tritonserver": f"exec {shlex.join((*server, region_option))}", "/models": shlex.quote(str(repository)),
        "0.0.0.0": "127.0.0.1", "$$": "$",
    }  # fmt: skip
    command, environment = _of_compose({**moved, **ports})
    # The port is given by the command; the rest of the description says only what its environment needs.
    inherited = server_environment(Run(installation, backends, repository, region, 1), os.environ)
    return subprocess.Popen(command, env=inherited | environment, stdout=log, stderr=subprocess.STDOUT)


def _of_compose(moved: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the service `triton`, with what is elsewhere here put in its place."""
    service = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))["services"]["triton"]
    *shell, script = service["command"]
    for old, new in moved.items():
        assert old in script, f"compose.yaml no longer says {old}"
        script = script.replace(old, new)
    pools = service["environment"]["MEMORY_POOLS"]
    return [*shell, script], {"MEMORY_POOLS": pools, "REFLEX_TRITON_ADMIN_SECRET": ADMIN_SECRET}


def _wait_ready(process: subprocess.Popen[bytes], http_port: int, log: Path) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, f"Triton ended while it was starting:\n{log.read_text(errors='replace')}"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{http_port}/v2/health/ready", timeout=HANGS_S).status_code == 200
        return False

    wait_until(is_ready, "Triton is ready")
