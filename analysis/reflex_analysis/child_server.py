"""`reflex serve` on a model repository for as long as a replay takes, as a process of its own on a loopback port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from reflex.client import ReflexClient
from reflex.errors import ReflexError, SetupError, TransportError
from reflex.interruption import ended_by_sigterm

__all__ = ["served_repository"]

READY_TIMEOUT_S: Final = 900.0
"""Engines of large policies load for minutes."""
STOP_TIMEOUT_S: Final = 20.0
"""`reflex serve` ends within 10 s by its own promise; this is patience with a busy machine."""
POLL_S: Final = 0.05
LOG_LINES: Final = 5
OWN_PREFIX: Final = "REFLEX_"
RTC_OPTIONS: Final = ("execution_horizon", "schedule", "max_guidance")
"""Of the setting `rtc` in a recording's header."""


@contextlib.contextmanager
def served_repository(
    repository: Path, *, policy: str | None, guard: bool, rtc: object = None, also: Sequence[str] = ()
) -> Iterator[str]:
    """The base URL of a server that is ready; it is stopped at the end, whatever ends it. `rtc`: as recorded.

    `also` are further options.

    Raises `SetupError` with the end of its log when it does not become ready.
    """
    port = _free_port()
    with tempfile.TemporaryFile() as log, ended_by_sigterm():
        process = subprocess.Popen(  # noqa: S603 - this very program
            [*_command(repository, policy, port, guard=guard, rtc=rtc), *also],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(os.environ),
            start_new_session=True,  # Ctrl-C is ours alone, and we stop it in order
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(process, url, log)
            yield url
        finally:
            _stop(process)


def _command(repository: Path, policy: str | None, port: int, *, guard: bool, rtc: object) -> list[str]:
    options = ["--model-repository", str(repository), "--host", "127.0.0.1", "--port", str(port)]
    options += [] if policy is None else ["--policy", policy]
    # Nobody moves by these answers: what the guard makes of a chunk is compared, however much that is.
    options += ["--guard", "--max-clamped-share", "100"] if guard else ["--no-guard"]
    return [sys.executable, "-m", "reflex.cli", "serve", *options, *_rtc_options(rtc)]


def _rtc_options(rtc: object) -> list[str]:
    """As the recorded server was told; what it was not told is left to the default."""
    if not isinstance(rtc, Mapping):
        return []
    given = [name for name in RTC_OPTIONS if name in rtc]
    return ["--rtc", *(f"--rtc-{name.replace('_', '-')}={rtc[name]}" for name in given)]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Ours without the settings in it: they are meant for the server that is recorded, which may even run beside."""
    return {name: value for name, value in own.items() if not name.startswith(OWN_PREFIX)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    ends_at = time.monotonic() + READY_TIMEOUT_S
    with ReflexClient(url, deadline_s=2.0) as client:
        while time.monotonic() < ends_at:
            if process.poll() is not None:
                raise SetupError(f"the server of the repository ended with code {process.returncode}: {_end_of(log)}")
            with contextlib.suppress(ReflexError):
                if client.health()["status"] == "ready":
                    return
            time.sleep(POLL_S)
    raise TransportError(f"the server of the repository was not ready after {READY_TIMEOUT_S:.0f} s: {_end_of(log)}")


def _end_of(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return " / ".join(lines[-LOG_LINES:]) or "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: Triton is in it too
            process.wait()
