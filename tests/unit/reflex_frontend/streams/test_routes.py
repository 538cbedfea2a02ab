"""Which paths are those of WebSockets."""

from __future__ import annotations

import time

from reflex_frontend.streams.routes import streams_of
from support.fakes import FakeTriton, act_service


def test_no_path_of_plain_http_is_one_of_a_stream() -> None:
    streams = streams_of(act_service(FakeTriton(), time.monotonic))
    assert {"/act", "/health", "/config", "/metrics"}.isdisjoint(streams)
