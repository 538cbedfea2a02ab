"""A robot that does as it is told, at once, and a server of policies that answers as it is told, over real sockets."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import numpy as np

from reflex.connector import ActionChunk, Observation
from reflex.embodiments import Embodiment, StopLadder, load_embodiment
from support.runner.served import config_of
from support.waiting import HANGS_S

__all__ = ["GONE", "QUICK", "NeverStarted", "QuickArm", "QuickServer", "chunk_for", "patient_target", "quick_server"]

GONE: Final = "http://127.0.0.1:9"
"""Nobody listens there."""

QUICK: Final[Embodiment] = replace(
    load_embodiment("so101"), name="quick", control_hz=100.0, stop_ladder=StopLadder(rungs=("hold",))
)
"""An SO-101 that is commanded a hundred times a second, so that a run is over soon."""


class QuickArm:
    """Stands where it was commanded to last; remembers everything. Sees nothing more after so many commands."""

    embodiment = QUICK
    camera_names = ()
    calibration_id = "sha256:quick"

    def __init__(self, ends_after: int | None = None) -> None:
        self.state = np.asarray(QUICK.mean_state, np.float32)
        self.told: list[str] = []
        self.commands: list[Any] = []
        self.ends_after = ends_after
        self.on_observed: Callable[[], None] = lambda: None

    def start(self) -> None:
        self.told.append("start")

    def get_observation(self) -> Observation:
        self.on_observed()
        if self.ends_after is not None and len(self.commands) >= self.ends_after:
            return None  # type: ignore[return-value]  # which ends a run
        return Observation(self.state)

    def apply_action(self, chunk: ActionChunk) -> None:
        self.commands += list(chunk.actions)
        self.state = np.asarray(chunk.actions[-1], np.float32)

    def safe_stop(self, reason: str = "") -> None:
        self.told.append(f"safe_stop {reason.partition(':')[0]}")

    def stop(self) -> None:
        self.told.append("stop")


class NeverStarted(QuickArm):
    """May be made, and looked at."""

    def start(self) -> None:
        raise AssertionError("it was started")


@dataclass
class QuickServer:
    """`act` makes an answer of a body: a status and an object. By default the arm is to stay where it is."""

    url: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    act: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]] = lambda body: (200, chunk_for(body))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


def patient_target(url: str) -> dict[str, Any]:
    """Whom a robot asks: a server that is there has as long as a busy machine may need, for one that is not a moment
    is enough."""
    return {"url": url, **({"connect_timeout_s": 0.3} if url == GONE else WAITED)}


WAITED: Final = {"timeout_s": HANGS_S / 2, "connect_timeout_s": HANGS_S}


def chunk_for(body: dict[str, Any]) -> dict[str, Any]:
    return {"actions": [body["state"]] * 50, "request_id": body["request_id"], "model_version": "demo@1"}


@contextlib.contextmanager
def quick_server() -> Iterator[QuickServer]:
    """It serves one policy for `QUICK`, without cameras."""
    details = json.loads(json.dumps(asdict(QUICK)))
    made = QuickServer(config=config_of("so101", cameras=[], embodiment_details=details, prompt=None))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, made.config if self.path == "/config" else {"status": "ready"})

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            data = self.rfile.read(length)
            if len(data) < length:
                return  # the run was over, and whoever asked has gone
            body = json.loads(data)
            made.bodies.append(body)
            made.keys.append(self.headers.get("Authorization"))
            self._answer(*made.act(body))

        def log_message(self, *_: object) -> None:
            """Not to stderr."""

        def _answer(self, status: int, told: dict[str, Any]) -> None:
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
