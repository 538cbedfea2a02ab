"""A server on a socket whose policy always answers the same pose, whatever it is shown."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from reflex.client.mock import chunk
from reflex.embodiments import load_embodiment
from reflex.wire import EMBODIMENT_FIELD

__all__ = ["StillServer", "still_server"]

ROBOT: Final = load_embodiment("so101")
HORIZON: Final = 8
CONFIG: Final[dict[str, Any]] = {
    "policy_id": "still", "trained": True,
    "cameras": [{"name": "front", "required": True}, {"name": "wrist", "required": True}],
    "inputs": [{"name": f"image.{name}", "shape": [-1, -1, 3]} for name in ("front", "wrist")],
    "state_dim": 6, "action_dim": 6, "horizon": HORIZON, "prompt": None, "precision": "fp32",
    EMBODIMENT_FIELD: dataclasses.asdict(ROBOT),
}  # fmt: skip


@dataclass(frozen=True)
class StillServer:
    url: str
    axes: tuple[str, ...] = ROBOT.action_names


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    """Head and body in one packet: two of them wait for each other's receipt, 40 ms each time."""

    def do_GET(self) -> None:
        self._answer(CONFIG)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(dict(chunk([list(ROBOT.mean_state)] * HORIZON, request_id=body["request_id"])))

    def _answer(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def still_server() -> Iterator[StillServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield StillServer(f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()
