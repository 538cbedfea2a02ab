"""An HTTP server with the demo policy's shape, whose chunks are all the same: what the bench asks, without a model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from docs.documents import REPOSITORY
from reflex.client import chunk
from reflex.embodiments import load_embodiment
from support.outside.answering import Answering, running

__all__ = ["MotionServer", "motion_server"]

CONFIG = json.loads((REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes())
CONFIG["embodiment_details"] = dataclasses.asdict(load_embodiment("franka"))


class MotionServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, **telling: object) -> None:
        super().__init__(("127.0.0.1", 0), _Moving)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.telling = telling
        """Further fields of each answer."""
        self.bodies: list[dict[str, Any]] = []
        self.refuse_after: int | None = None


class _Moving(Answering):
    protocol_version = "HTTP/1.1"
    server: MotionServer

    def get(self) -> None:
        self.answer(200, CONFIG)

    def post(self) -> None:
        body = json.loads(self.asked())
        self.server.bodies.append(body)
        after = self.server.refuse_after
        if after is not None and len(self.server.bodies) > after:
            self.answer(422, {"error": "implausible_action", "message": "no", "request_id": body["request_id"]})
            return
        answer = {**chunk([[0.1] * 7] * 50, latency_ms=1.0), **self.server.telling, "request_id": body["request_id"]}
        self.answer(200, answer)


@contextmanager
def motion_server(**telling: object) -> Iterator[MotionServer]:
    """Runs it; `telling` are further fields of each answer, like rtc_applied."""
    with running(MotionServer(**telling)) as made:
        yield made
