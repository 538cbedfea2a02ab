from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from docs.documents import REPOSITORY
from reflex.api_keys import new_key
from reflex.cli import app
from reflex.client import chunk

KEY = new_key()
CONFIG = (REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes()


class Server(ThreadingHTTPServer):
    """Serves the demo policy's shape to whoever has the key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers["Authorization"] == f"Bearer {KEY}":
            self._send(200, CONFIG)
        else:
            self._send(401, b'{"error": "unauthorized", "message": "no such key", "request_id": null}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(200, json.dumps(chunk([[0.0] * 7] * 50, latency_ms=14.2)).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: a test reads stderr."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def reflex_check(*arguments: str, key: str = KEY) -> Any:
    return CliRunner().invoke(app, ["check", *arguments], env={"REFLEX_API_KEY": key})


def test_a_server_that_answers_has_passed(server: Server) -> None:
    result = reflex_check(server.url)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"passed: {server.url} answers /act: 50 x 7 finite values of demo, in 14.2 ms\n"


def test_json_is_the_answer_itself(server: Server) -> None:
    assert json.loads(reflex_check(server.url, "--json").stdout)["num_actions"] == 50


def test_a_server_that_wants_another_key_says_where_it_goes(server: Server) -> None:
    result = reflex_check(server.url, key=new_key())

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no such key" in result.stderr
    assert "REFLEX_API_KEY" in result.stderr


def test_where_nobody_listens_it_fails_with_a_sentence() -> None:
    result = reflex_check("http://127.0.0.1:9")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("reflex: ")
    assert "http://127.0.0.1:9" in result.stderr
