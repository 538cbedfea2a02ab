"""The running stack, and requests to it whose right answers are known."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from compose.engine import REPOSITORY, Engine
from support.server import free_port
from support.waiting import wait_until

__all__ = ["Load", "Stack", "running_stack"]

UP_S: Final = 120.0
SEEDS: Final = range(16)
TOLERANCE: Final = 1e-3
"""In action units: another batch size rounds differently; another seed differs by far more."""
DEADLINE_MS: Final = 2000
CLIENTS: Final = 8


@dataclass(frozen=True)
class Stack:
    """A stack whose frontend is published on `port`."""

    engine: Engine
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def act(self, client: httpx.Client, seed: int) -> httpx.Response:
        body = json.loads((REPOSITORY / "examples" / "act.json").read_text(encoding="utf-8")) | {"seed": seed}
        headers = {"X-Reflex-Deadline-Ms": str(DEADLINE_MS)}
        return client.post(f"{self.url}/act", json=body, headers=headers, timeout=DEADLINE_MS / 1000 + 5)

    def addresses(self, service: str) -> list[str]:
        networks: dict[str, Any] = self.engine.container(service)["NetworkSettings"]["Networks"]
        return [network["IPAddress"] for network in networks.values()]

    def wait_ready(self, timeout_s: float) -> float:
        """Seconds until /health said ready."""

        def is_ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
            return False

        try:
            return wait_until(is_ready, "the stack is ready", timeout_s=timeout_s)
        except AssertionError as exc:
            exc.add_note(self.engine.compose("logs", "--tail", "40"))
            raise


@dataclass
class Load:
    """Clients that ask without a pause, each with its seeds; everything that they were answered."""

    stack: Stack
    ends_when_refused: bool = False
    """A client whose connection breaks asks no more: the port may soon be somebody else's."""
    expected: dict[int, list[list[float]]] = field(init=False)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    """Broken connections, with their times."""
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        with httpx.Client() as client:
            self.expected = {seed: self.stack.act(client, seed).json()["actions"] for seed in SEEDS}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(self._ask, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._stopping.set()
        for client in running:
            client.result()

    def _ask(self, number: int) -> None:
        with httpx.Client() as client:
            while not self._stopping.is_set():
                if not all(self._ask_once(client, seed) for seed in list(SEEDS)[number % 2 :: 2]):
                    return

    def _ask_once(self, client: httpx.Client, seed: int) -> bool:
        """Whether to go on."""
        try:
            answer = self.stack.act(client, seed)
        except httpx.TransportError as exc:
            self.errors.append((time.monotonic(), repr(exc)))
            self._stopping.wait(0.05)
            return not self.ends_when_refused
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        if answer.status_code == 200 and not self._is_right(seed, answer.json()["actions"]):
            self.wrong.append(f"seed {seed}")
        if answer.status_code == 503:
            if "Retry-After" not in answer.headers:
                self.wrong.append("a 503 without Retry-After")
            self._stopping.wait(0.02)
        return True

    def _is_right(self, seed: int, actions: list[list[float]]) -> bool:
        expected = self.expected[seed]
        pairs = ((a, b) for row, other in zip(actions, expected, strict=True) for a, b in zip(row, other, strict=True))
        return all(abs(a - b) <= TOLERANCE for a, b in pairs)


@contextlib.contextmanager
def running_stack(engine: Engine, *options: str) -> Iterator[Stack]:
    """`options` stand before `up`, such as `--profile gpu`."""
    port = free_port()
    engine = engine.with_environment(REFLEX_PORT=str(port))
    try:
        engine.compose(*options, "up", "--detach", "--wait", "--no-build", timeout_s=UP_S)
        yield Stack(engine, port)
    finally:
        engine.compose(*options, "down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)
