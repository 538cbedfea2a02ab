"""A real server and the client that asks it, as the contract and fuzz tests use them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from reflex_bench.nonce_policy import Fault, set_behaviour
from support.bodies import valid_body
from support.server import ServerProcess, running_server

__all__ = ["Served", "served"]

RECOVERY_S: Final = 10.0
CLIENT_TIMEOUT_S: Final = 15.0


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
        """POST /act; a mapping as JSON, bytes as they are, nothing as a valid body."""
        content = body if isinstance(body, bytes) else json.dumps(valid_body() if body is None else body).encode()
        return self.client.post(
            "/act", content=content, headers={"content-type": "application/json", **(headers or {})}
        )

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
        ends_at = time.monotonic() + RECOVERY_S
        while self.act().status_code != 200:
            assert time.monotonic() < ends_at, "the server did not recover"
            time.sleep(0.05)


@contextlib.contextmanager
def served(*options: str, control_file: Path | None = None, ready: bool = True) -> Iterator[Served]:
    """`reflex serve *options`, stopped at the end."""
    with (
        running_server(*options, ready=ready) as process,
        httpx.Client(base_url=process.base_url, timeout=CLIENT_TIMEOUT_S) as client,
    ):
        yield Served(process, client, control_file)
