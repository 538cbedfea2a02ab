"""A control plane that says what a test wrote down for it, on a real socket; for what stands on top of a client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

__all__ = ["Received", "ScriptedControl", "scripted_control", "serving_script"]


@dataclass(frozen=True)
class Received:
    """One request."""

    route: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class ScriptedControl:
    """`answers` by route, like `GET /v1/robots`: an object, (status, object), bytes, or a list of these, one a call."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def next_for(self, route: str) -> tuple[int, bytes]:
        nothing = (404, {"error": "not_found", "message": f"nothing is at {route}", "request_id": "req_1"})
        answer = self.answers.get(route, nothing)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()


@contextmanager
def serving_script() -> Iterator[ScriptedControl]:
    script = ScriptedControl()

    class Scripted(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            route = f"{self.command} {self.path}"
            script.received.append(Received(route, dict(self.headers), json.loads(body) if body else None))
            status, content = script.next_for(route)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_port}"
        yield script
        server.shutdown()
        thread.join()


@pytest.fixture
def scripted_control(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedControl]:
    """The control plane that the environment names, with no key in it."""
    with serving_script() as script:
        for name in ("REFLEX_API_KEY", "REFLEX_BACKEND_URL", "REFLEX_CONFIG_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("REFLEX_CONVEX_URL", script.url)
        monkeypatch.setenv("REFLEX_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        yield script
