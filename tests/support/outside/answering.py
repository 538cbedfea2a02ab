"""A server of a few lines for tests: a handler that answers and says nothing, and the thread in which it runs."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

__all__ = ["Answering", "running"]

ServerT = TypeVar("ServerT", bound=ThreadingHTTPServer)


class Answering(BaseHTTPRequestHandler):
    """What a GET and a POST get, a test says; nothing else is asked."""

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def get(self) -> None:
        self.answer(501, "nobody asks this")

    def post(self) -> None:
        self.answer(501, "nobody asks this")

    def asked(self) -> bytes:
        """The body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def answer(self, status: int, value: Any) -> None:
        """Bytes and text as they are, everything else as JSON."""
        body = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked may have left
            self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: a test reads stderr."""


@contextlib.contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """It serves in a thread until the end."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
