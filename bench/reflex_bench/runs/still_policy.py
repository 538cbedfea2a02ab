"""A server that answers every observation with a chunk that goes nowhere; a program, so that its memory is its own.

    python -m reflex_bench.runs.still_policy

It prints its address, and ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from reflex.embodiments import load_embodiment

__all__ = ["chunk_server"]

HORIZON: Final = 50
ROBOT: Final = "so101_sim"


@contextlib.contextmanager
def chunk_server() -> Iterator[str]:
    """Its address, while it runs."""
    program = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    try:
        yield program.stdout.readline().strip()
    finally:
        program.communicate()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer({"embodiment": ROBOT, "embodiment_details": asdict(load_embodiment(ROBOT))})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer({
            "actions": [asked["state"]] * HORIZON, "request_id": asked["request_id"], "model_version": "still@1",
        })  # fmt: skip

    def log_message(self, *_: object) -> None:
        """Not to stderr."""

    def _answer(self, told: dict[str, Any]) -> None:
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who hangs up has been answered."""


def main() -> int:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
