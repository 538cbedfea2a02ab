"""An OpenTelemetry collector on loopback: OTLP over HTTP in, the spans of all requests out. It can hang or refuse.

And what is sent there, without a server.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from reflex_frontend.observing.traced_act import TracedAct
from reflex_frontend.policy.stage_times import StageTimes
from reflex_frontend.policy.traceparent import Trace
from support.waiting import wait_until

__all__ = ["Collector", "Span", "running_collector", "traced_act"]

Mood = Literal["answer", "refuse", "hang"]
TRACE = Trace(trace_id=11, span_id=12, infer_id=13, parent_id=14)


@dataclass(frozen=True)
class Span:
    """One span as it was received; ids in hexadecimal."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    is_error: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What was received so far."""

    mood: Mood
    port: int = 0
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and content type."""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of_request(self, request_id: str) -> tuple[Span, list[Span]]:
        """The span of the request with this id, and those below it in the order of their beginning."""
        wait_until(lambda: self._spans_of(request_id), f"a span of {request_id} has come")
        (span,) = self._spans_of(request_id)
        below = [each for each in list(self.spans) if each.parent_id == span.span_id]
        return span, sorted(below, key=lambda each: (each.began_ns, each.ended_ns))

    def _spans_of(self, request_id: str) -> list[Span]:
        return [span for span in list(self.spans) if span.attributes.get("reflex.request_id") == request_id]

    def take(self, body: bytes, media_type: str) -> None:
        if media_type == "application/json":  # Triton's exporter
            self.spans += [_span_of_json(span) for span in _json_spans(json.loads(body))]
            return
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_values(resource_spans.resource.attributes))
            for scope_spans in resource_spans.scope_spans:
                self.spans += [_span(span) for span in scope_spans.spans]


def _span(span: Any) -> Span:
    return Span(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
        _values(span.attributes),
    )


def _json_spans(request: Any) -> Iterator[Any]:
    for resource_spans in request["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            yield from scope_spans["spans"]


def _span_of_json(span: Any) -> Span:
    times = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    return Span(
        span["name"], span["kind"], span["traceId"], span["spanId"], span.get("parentSpanId", ""), *times, False, {}
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextlib.contextmanager
def running_collector(mood: Mood = "answer", bound: socket.socket | None = None) -> Iterator[Collector]:
    """`refuse` says 503 to everything, `hang` takes everything and says nothing. At a port of its own, or `bound`'s."""
    collector = Collector(mood)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.requests.append((self.path, self.headers["Content-Type"]))
            if collector.mood == "hang":
                collector.released.wait(60)
                return
            if collector.mood == "answer":
                collector.take(body, self.headers["Content-Type"])
            self.send_response(200 if collector.mood == "answer" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=bound is None)
    if bound is not None:
        server.socket.close()
        server.socket = bound
        server.server_activate()
    server.daemon_threads = True
    collector.port = server.socket.getsockname()[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def traced_act(passed: int = 6, trace: Trace = TRACE, **changes: Any) -> TracedAct:
    """Stages are left at seconds 1 to 6; the answer is there at 7, and sent at 8."""
    names = ("received_at", "routed_at", "decoded_at", "queued_at", "inferred_at", "guarded_at")
    stage_times = StageTimes(trace=trace, **{name: float(second) for second, name in enumerate(names[:passed], 1)})
    fields: dict[str, Any] = {
        "began_at": 0.0, "answered_at": 7.0, "ended_at": 8.0, "wall_ahead_s": 1000.0, "status": 200,
        "error_code": None, "request_id": "r-1", "episode_id": "e-1", "policy_slot": "a", "model_version": "demo@1",
        "embodiment": "franka", "denoising_steps": 10, "is_degraded": False, "is_resent": False,
    }  # fmt: skip
    return TracedAct(trace=trace, stage_times=stage_times, **{**fields, **changes})
