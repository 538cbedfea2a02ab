"""A real server and the client that asks it, as the contract and fuzz tests use them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from reflex_bench.nonce_policy import Fault, set_behaviour
from support.bodies import valid_body
from support.hostile import PATIENT
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S, wait_until

__all__ = ["Served", "served"]


@dataclass(frozen=True)
class Served:
    """A running server with one keep-alive client. `control_file` belongs to a nonce policy that can be disturbed."""

    process: ServerProcess
    client: httpx.Client
    control_file: Path | None = None

    @property
    def port(self) -> int:
        return self.process.port

    def act(
        self, body: Mapping[str, Any] | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST /act; a mapping as JSON, bytes as they are, nothing as a valid body. The deadline is the longest."""
        content = body if isinstance(body, bytes) else json.dumps(valid_body() if body is None else body).encode()
        asked = httpx.Headers({"content-type": "application/json", **PATIENT})
        asked.update(headers)
        return self.client.post("/act", content=content, headers=asked)

    @contextlib.contextmanager
    def behaving(self, *, delay_ms: float = 0, fault: Fault = None) -> Iterator[None]:
        """The nonce policy is slow or broken inside the block; afterwards the instance answers again."""
        assert self.control_file is not None
        set_behaviour(self.control_file, delay_ms=delay_ms, fault=fault)
        try:
            yield
        finally:
            set_behaviour(self.control_file)
            self.recover()

    def recover(self) -> None:
        """Wait until requests are answered again; a success also ends a series of failures."""
        wait_until(lambda: self.act().status_code == 200, "the server recovers")


@contextlib.contextmanager
def served(*options: str, control_file: Path | None = None, ready: bool = True) -> Iterator[Served]:
    """`reflex serve *options`, stopped at the end."""
    with (
        running_server(*options, ready=ready) as process,
        httpx.Client(base_url=process.base_url, timeout=HANGS_S, verify=False) as client,
    ):
        yield Served(process, client, control_file)
