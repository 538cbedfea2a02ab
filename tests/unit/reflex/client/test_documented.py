"""Runs every Python example of docs/client.md against a server that answers on a real socket."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reflex.client import chunk
from reflex.embodiments import load_embodiment
from reflex.wire import EMBODIMENT_FIELD

DOCUMENT = Path(__file__).parents[4] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(chunk([[0.0] * 7] * 50))

    def do_GET(self) -> None:
        self._send({"status": "ready", "state_dim": 6, EMBODIMENT_FIELD: dataclasses.asdict(load_embodiment("franka"))})

    def _send(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: an example's output is what counts."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example-{number}" for number in range(1, len(EXAMPLES) + 1)])
def test_an_example_of_the_documentation_runs(example: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example.replace("http://localhost:8000", url), str(DOCUMENT), "exec"), {})
    assert "hold:" not in capsys.readouterr().out


def test_there_are_examples_to_run() -> None:
    assert len(EXAMPLES) >= 5
