"""`LivePage`: the page of `reflex connect --view`, for browsers of this computer alone.

It only shows: no request changes anything. It answers to local names and addresses (a page elsewhere could have its own
name lead here), and nothing in it comes from elsewhere. A picture is encoded when somebody looks, and for them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from types import TracebackType
from typing import Any, Final, Self

from reflex.errors import InvalidRequestError, SetupError
from reflex.serving.hosts import allowed_hosts
from reflex.serving.page_files import media_type
from reflex_runner.page.live_view import LiveView
from reflex_runner.page.pictures import as_jpeg
from reflex_runner.page.telling import told

__all__ = ["LivePage"]

log = logging.getLogger("reflex.page")

LOOPBACK: Final = "127.0.0.1"
ASSETS: Final = resources.files(__package__) / "assets"
FILES: Final = {
    "/": "index.html",
    "/icon.svg": "icon.svg",
    "/view.css": "view.css",
    "/view.js": "view.js",
    "/plot.js": "plot.js",
}
CAMERA: Final = "/camera/"
BOUNDARY: Final = "frame"
NEXT_PART: Final = f"--{BOUNDARY}\r\n".encode()
"""Said right after each picture: browsers show a part when they hear that the next one begins."""
PICTURES_PER_S: Final = 15.0
AGAIN_AFTER: Final = 15
"""Looks without a new picture: the old one is sent again, by which one that has hung up is noticed."""
MOST_LOOKING: Final = 24
"""Connections at a time: a browser has six for one page."""
REQUEST_S: Final = 10.0
"""Who sends or takes nothing for so long is let go."""
SAFETY: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class LivePage:
    """Serves a `LiveView` until it is closed; `port` 0 takes a free one."""

    def __init__(self, view: LiveView, port: int = 0) -> None:
        try:
            self._server = _Server((LOOPBACK, port), view)
        except (OSError, OverflowError) as exc:
            raise SetupError(f"the live page cannot listen on port {port} ({exc}); choose another one") from exc
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="reflex-page", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more; whoever watches pictures is let go."""
        self._server.ended.set()
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], view: LiveView) -> None:
        self.view, self.ended = view, threading.Event()
        self.hosts = allowed_hosts(LOOPBACK, None)
        self._places = threading.BoundedSemaphore(MOST_LOOKING)
        super().__init__(address, _Request)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as the library has it
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        log.debug("a request of the live page ended early: %s", sys.exception())


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_S
    server_version = "reflex"
    sys_version = ""

    def do_GET(self) -> None:  # the library's name
        path = self.path.partition("?")[0]
        if not self._is_local():
            self._send(b"call the live page by its address\n", "text/plain", HTTPStatus.MISDIRECTED_REQUEST)
        elif path in FILES:
            name = FILES[path]
            self._send((ASSETS / name).read_bytes(), media_type(name))
        elif path == "/run.json":
            self._send(json.dumps(told(self.server.view), allow_nan=False).encode(), "application/json")
        elif path.startswith(CAMERA) and path.removeprefix(CAMERA) in self.server.view.newest_frames():
            self._film(path.removeprefix(CAMERA))
        else:
            self._send(b"there is no such page\n", "text/plain", HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        log.debug(format, *args)

    def _is_local(self) -> bool:
        try:
            self.server.hosts.check([(b"host", value.encode("latin-1")) for value in self.headers.get_all("Host", [])])
        except InvalidRequestError:
            return False
        return True

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._begin(kind, status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _film(self, camera: str) -> None:
        """Picture after picture, as long as somebody looks."""
        self._begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}", HTTPStatus.OK)
        self.end_headers()
        with contextlib.suppress(OSError):  # the browser has gone
            self.wfile.write(NEXT_PART)
            for picture in self._pictures(camera):
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
                self.wfile.write(head + picture + b"\r\n" + NEXT_PART)
        self.close_connection = True

    def _pictures(self, camera: str) -> Iterator[bytes]:
        seen, looks = None, 0
        while not self.server.ended.wait(1 / PICTURES_PER_S):
            frame, looks = self.server.view.newest_frames().get(camera), looks + 1
            if frame is None or (frame.image is seen and looks < AGAIN_AFTER):
                continue
            seen, looks = frame.image, 0
            if (picture := as_jpeg(frame.image)) is not None:
                yield picture

    def _begin(self, kind: str, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in SAFETY.items():
            self.send_header(name, value)
