"""The hub's HTTP interface on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

__all__ = ["COMMIT", "FILES", "StandInHub", "answering"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer/tokenizer.json": b"{}",
    "pytorch_model.bin": b"pickle",
    "training_state/optimizer_state.safetensors": b"large",
}


@dataclass
class StandInHub:
    """One repository, `owner/policy`, over the hub's HTTP interface."""

    files: Mapping[str, bytes] = field(default_factory=lambda: FILES)
    url: str = ""
    gated: bool = False
    drops_connections: bool = False
    is_out_of_order: bool = False
    """Every request is answered 503, by which the hub's library tries some of them again and again."""
    asked: list[str] = field(default_factory=list)
    downloaded: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        self.asked.append(path)
        if self.is_out_of_order:
            return 503, b"", {}
        if path.startswith("/api/models/owner/policy/revision/missing"):
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        if path.startswith("/api/models/owner/policy/revision/"):
            siblings = [{"rfilename": name} for name in self.files]
            return 200, json.dumps({"id": "owner/policy", "sha": COMMIT, "siblings": siblings}).encode(), {}
        if path.startswith("/api/models/owner/policy/tree/"):
            files = [{"type": "file", "path": n, "size": len(c), "oid": "a" * 40} for n, c in self.files.items()]
            return 200, json.dumps(files).encode(), {}
        if not path.startswith("/owner/policy/resolve/"):
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        if self.gated:
            return 403, b"", {"X-Error-Code": "GatedRepo"}
        name = unquote(path.partition(f"{COMMIT}/")[2])
        self.downloaded.append(name)
        return 200, self.files[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}


@contextmanager
def answering(hub: StandInHub) -> Iterator[StandInHub]:
    """Until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlparse(self.path).path
            if hub.drops_connections and "/resolve/" in path:
                self.connection.close()
                return
            status, content, headers = hub.answer(path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silence."""

        def log_error(self, format: str, *args: object) -> None:  # noqa: A002
            """Silence."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A connection that the test drops is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield hub
        server.shutdown()
        thread.join()
