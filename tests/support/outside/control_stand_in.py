"""A control plane on loopback as far as a server sees it: a keyset, sessions' credentials, and a stream of ends."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reflex.api_keys import new_key
from reflex.signed.session_credential import Claims, issue
from reflex.signed.signing import Keyset, SigningKey

__all__ = ["ControlPlaneStandIn", "claims", "credential", "now_ms", "running_control_plane"]

LIFE_MS = 120_000
POLL_S = 0.02


def now_ms() -> int:
    return int(time.time() * 1000)


def claims(**changes: Any) -> Claims:
    """Of a session in a dry run, for the policy of `support.fakes`, from now for 120 s."""
    issued_at_ms = changes.get("issued_at_ms", now_ms())
    fields: dict[str, Any] = {
        "session_id": "sess_1", "organisation_id": "org_1", "robot_id": "robot_1", "deployment_id": "deploy_1",
        "model_hash": "sha256:" + "ab" * 32, "model_version": "small@abababab", "mode": "dry_run",
        "calibration_id": None, "limits_hash": None, "issued_at_ms": issued_at_ms,
        "expires_at_ms": issued_at_ms + LIFE_MS,
    }  # fmt: skip
    return Claims(**{**fields, **changes})


def credential(key: SigningKey, **changes: Any) -> str:
    return issue(claims(**changes), key)


@dataclass
class ControlPlaneStandIn:
    """`events` are sent to whoever listens, with their place in it (from 1) as id; a break cuts all streams."""

    key: SigningKey = field(default_factory=lambda: SigningKey.generate("k1"))
    api_key: str = field(default_factory=new_key)
    port: int = 0
    keyset: dict[str, object] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Last-Event-ID."""
    organisation_id: str | None = "org_1"
    """Told to whoever listens; None: what was, is never told."""
    breaks: int = 0
    is_silent: bool = False
    """Streams are open and nothing comes."""
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.keyset = Keyset.of([self.key.as_public()]).as_json()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tell(self, session_id: str, status: str) -> None:
        self.events.append(json.dumps({"sessionId": session_id, "status": status, "mode": "dry_run"}))

    def asked_for(self, path: str) -> list[str | None]:
        """The Last-Event-IDs of those who asked for it."""
        return [last_id for asked, last_id in list(self.asked) if asked == path]


@contextlib.contextmanager
def running_control_plane(plane: ControlPlaneStandIn) -> Iterator[ControlPlaneStandIn]:
    """It listens at `plane.port`, or at one of its own where that is 0."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            plane.asked.append((path, self.headers.get("Last-Event-ID")))
            if path == "/v1/keyset":
                self._answer(200, json.dumps(plane.keyset).encode())
            elif path != "/v1/events" or self.headers["Authorization"] != f"Bearer {plane.api_key}":
                self._answer(401 if path == "/v1/events" else 404, b"{}")
            else:
                place = 0 if "recentSeconds" in query else len(plane.events)
                with contextlib.suppress(OSError):
                    self._stream(int(self.headers.get("Last-Event-ID", str(place))))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, sent: int) -> None:
            breaks = plane.breaks
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"id: %d\n\n" % sent)
            sent = self._tell(sent)
            if plane.organisation_id is not None:
                told = json.dumps({"organisationId": plane.organisation_id})
                self.wfile.write(f"event: caught_up\ndata: {told}\n\n".encode())
            while not plane.over.wait(POLL_S) and plane.breaks == breaks:
                sent = self._tell(sent)

        def _tell(self, sent: int) -> int:
            """What came after that; how far it is told now."""
            new = [] if plane.is_silent else plane.events[sent:]
            for place, data in enumerate(new, sent + 1):
                self.wfile.write(f"id: {place}\nevent: session\ndata: {data}\n\n".encode())
            return sent + len(new)

        def log_message(self, *_arguments: object) -> None:
            """Tests are quiet."""

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True
        daemon_threads = True

    plane.over.clear()
    server = Server(("127.0.0.1", plane.port), Handler)
    plane.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield plane
    finally:
        plane.over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
