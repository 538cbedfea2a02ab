"""The real server on the nonce policy, slow or broken as wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.model_repository import TRITON_CONFIG_FILE
from reflex_bench.nonce_policy import Fault, set_behaviour, write_nonce_policy
from support.server import ServerProcess, running_server

__all__ = ["NonceServer", "nonce_server", "one_process_each"]

ONCE: Final = "\ninstance_group [ { count: 1, kind: KIND_CPU } ]\n"


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


def one_process_each(repository: Path) -> None:
    """Triton starts two processes of each graph on a CPU, at 0.2 s of CPU each; where nothing is computed one will do.

    The denoise component of a policy with a switch is one process already: what is batched and queued stays the same.
    """
    for graph in repository.glob("*/1/model.onnx"):
        with (graph.parents[1] / TRITON_CONFIG_FILE).open("a", encoding="utf-8") as config:
            config.write(ONCE)


@contextlib.contextmanager
def nonce_server(
    folder: Path, *options: str, delay_ms: float = 0, env: dict[str, str] | None = None, ready: bool = True
) -> Iterator[NonceServer]:
    """`reflex serve --no-guard *options` on a nonce policy written into `folder`; a batch takes `delay_ms`."""
    control_file = folder / "behaviour.json"
    repository = folder / "models"
    repository.mkdir(exist_ok=True)
    write_nonce_policy(repository, delay_ms=delay_ms, control_file=control_file)
    one_process_each(repository)
    arguments = ("--model-repository", str(repository), "--no-guard", *options)
    with running_server(*arguments, env=env, ready=ready) as process:
        yield NonceServer(process, control_file)
