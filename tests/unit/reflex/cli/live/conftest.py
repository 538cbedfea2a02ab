"""A server of this process that says what a test wants it to say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from reflex.client import chunk
from reflex.embodiments import load_embodiment
from reflex.wire import EMBODIMENT_FIELD
from support.outside.answering import Answering, running

DEMO = {
    "policy_id": "demo", "trained": False, "horizon": 50, "state_dim": 6, "action_dim": 6, "prompt": None,
    "cameras": [], "inputs": [], EMBODIMENT_FIELD: dataclasses.asdict(load_embodiment("ur5")),
}  # fmt: skip
METRICS = """
reflex_act_latency_seconds_bucket{embodiment="ur5",le="0.01",policy_slot="a"} 6.0
reflex_act_latency_seconds_bucket{embodiment="ur5",le="0.025",policy_slot="a"} 9.0
reflex_act_latency_seconds_bucket{embodiment="ur5",le="+Inf",policy_slot="a"} 10.0
reflex_act_latency_seconds_count{embodiment="ur5",policy_slot="a"} 10.0
reflex_act_latency_seconds_sum{embodiment="ur5",policy_slot="a"} 0.2
reflex_act_total{embodiment="ur5",status="200"} 10.0
reflex_act_total{embodiment="ur5",status="422"} 3.0
reflex_guard_clamped_total{embodiment="ur5"} 2.0
"""


class Told(ThreadingHTTPServer):
    """`answers` are status and body by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ByPath)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        health = {"status": "ready", "model_loaded": True, "model_version": "demo@1", "inference_mode": "onnx_cpu",
                  "uptime_seconds": 700.0}  # fmt: skip
        self.answers: dict[str, tuple[int, Any]] = {
            "/health": (200, health),
            "/metrics": (200, METRICS),
            "/config": (200, DEMO),
            "/act": (200, chunk([[0.1 * step] * 6 for step in range(50)])),
        }


class _ByPath(Answering):
    server: Told

    def get(self) -> None:
        self.answer(*self.server.answers[self.path])

    def post(self) -> None:
        self.asked()
        self.get()


@pytest.fixture
def told() -> Iterator[Told]:
    with running(Told()) as made:
        yield made
