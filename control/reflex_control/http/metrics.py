"""What is counted, for Prometheus: requests by route and status. A label is never what somebody sent."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

__all__ = ["Metrics"]


class Metrics:
    """One server's."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "reflex_control_requests", "Requests, by route and status.", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "reflex_control_request_seconds", "From the headers to the whole answer.", ("method", "route"),
            registry=self._registry,
        )  # fmt: skip

    def count(self, method: str, route: str, status: int, took_s: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)
