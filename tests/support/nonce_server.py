"""The real server on the nonce policy, slow or broken as wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reflex_bench.nonce_policy import Fault, set_behaviour, write_nonce_policy
from support.server import ServerProcess, running_server

__all__ = ["NonceServer", "nonce_server"]


@dataclass(frozen=True)
class NonceServer:
    """A running server and the switch of its model."""

    process: ServerProcess
    control_file: Path

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def pid(self) -> int:
        """Of the frontend."""
        return self.process.process.pid

    def behave(self, *, delay_ms: float = 0, fault: Fault = None) -> None:
        """From the model's next batch on."""
        set_behaviour(self.control_file, delay_ms=delay_ms, fault=fault)


@contextlib.contextmanager
def nonce_server(
    folder: Path, *options: str, delay_ms: float = 0, env: dict[str, str] | None = None, ready: bool = True
) -> Iterator[NonceServer]:
    """`reflex serve --no-guard *options` on a nonce policy written into `folder`; a batch takes `delay_ms`."""
    control_file = folder / "behaviour.json"
    repository = folder / "models"
    repository.mkdir(exist_ok=True)
    write_nonce_policy(repository, delay_ms=delay_ms, control_file=control_file)
    arguments = ("--model-repository", str(repository), "--no-guard", *options)
    with running_server(*arguments, env=env, ready=ready) as process:
        yield NonceServer(process, control_file)
