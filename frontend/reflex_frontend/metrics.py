"""Every metric of the frontend, by name. Ids never become labels, except the one configured robot_id."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reflex_frontend.policy import ServedPolicy

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10,
)  # fmt: skip
SLOT: Final = "a"
"""The slot of a server with one policy."""


class Metrics:
    """One registry per server, so that two servers in one process do not share counts."""

    def __init__(self, policy: ServedPolicy, robot_id: str | None) -> None:
        self.registry = CollectorRegistry()
        embodiment, mode = policy.config.embodiment, policy.config.inference_mode
        self._act_total = Counter(
            "reflex_act", "Answers of POST /act by HTTP status", ["embodiment", "status"], registry=self.registry
        )
        self._by_status: dict[int, Counter] = {}
        self._embodiment = embodiment
        self._latency = Histogram(
            "reflex_act_latency_seconds",
            "Request receipt to response of the 200s",
            ["embodiment", "policy_slot", "inference_mode"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        ).labels(embodiment, SLOT, mode)
        self._clamped = Counter(
            "reflex_guard_clamped",
            "Answers in which ActionGuard changed an action",
            ["embodiment"],
            registry=self.registry,
        ).labels(embodiment)
        self.in_flight = Gauge(
            "reflex_in_flight_requests", "Requests that Triton works on", ["policy_slot"], registry=self.registry
        ).labels(SLOT)
        self.cache_hit = Counter(
            "reflex_cache_hit", "Resent requests answered again", ["embodiment", "policy_slot"], registry=self.registry
        ).labels(embodiment, SLOT)
        self.cache_miss = Counter(
            "reflex_cache_miss",
            "Requests that could have been resent",
            ["embodiment", "policy_slot"],
            registry=self.registry,
        ).labels(embodiment, SLOT)
        self.breaker_open = Gauge(
            "reflex_breaker_open", "1 while the circuit breaker is open", ["policy_slot"], registry=self.registry
        ).labels(SLOT)
        self.triton_restarts = Gauge(
            "reflex_triton_restarts", "How often the embedded Triton was started again", registry=self.registry
        )
        info = Gauge("reflex_robot_info", "1", ["robot_id", "embodiment", "model_id"], registry=self.registry)
        info.labels(robot_id or "", embodiment, policy.config.model_version).set(1)

    def count_answer(self, status: int) -> None:
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._act_total.labels(self._embodiment, str(status))
        counter.inc()

    def observe_success(self, latency_s: float, *, clamped: bool) -> None:
        self._latency.observe(latency_s)
        if clamped:
            self._clamped.inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
