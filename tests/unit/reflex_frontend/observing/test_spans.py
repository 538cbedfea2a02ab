"""The spans that are made of one traced request."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from reflex_frontend.observing.delivery import Delivery
from reflex_frontend.observing.spans import (
    BATCH_REQUESTS,
    QUEUED_REQUESTS,
    ActSpan,
    OtlpSink,
    SpansOfActs,
    episode_hash,
)
from reflex_frontend.observing.traced_act import TracedAct
from reflex_frontend.policy.traceparent import Trace
from support.collector import traced_act
from support.promise import Promise
from support.waiting import HANGS_S, wait_until

STAGES = ("receive", "route", "decode", "queue", "infer", "guard", "respond")


def exporting(exporter: SpanExporter) -> SpansOfActs:
    return SpansOfActs(exporter, Delivery("http://collector"))


def spans_of(act: TracedAct) -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    exporting(kept).export([ActSpan(act, Resource({}))])
    return list(kept.get_finished_spans())


def seconds(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time / 1e9 - 1000, span.end_time / 1e9 - 1000


def test_a_request_is_one_span_with_one_below_it_for_each_stage() -> None:
    whole, *stages = spans_of(traced_act())

    assert (whole.name, whole.kind, seconds(whole)) == ("POST /act", SpanKind.SERVER, (0, 8))
    assert tuple(stage.name for stage in stages) == STAGES
    assert all(stage.parent == whole.context for stage in stages)
    assert {span.context.trace_id for span in (whole, *stages)} == {11}
    assert len({span.context.span_id for span in (whole, *stages)}) == 8


def test_the_stages_follow_each_other_without_a_gap() -> None:
    _, *stages = spans_of(traced_act())

    assert [seconds(stage) for stage in stages] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8)]


def test_the_ids_are_those_that_were_decided_before() -> None:
    whole, *stages = spans_of(traced_act())
    infer = next(stage for stage in stages if stage.name == "infer")

    assert whole.context.span_id == 12
    assert whole.parent is not None
    assert (whole.parent.span_id, whole.parent.is_remote) == (14, True)
    assert (infer.context.span_id, infer.kind) == (13, SpanKind.CLIENT)


def test_a_trace_of_its_own_has_no_parent() -> None:
    assert spans_of(traced_act(trace=Trace(11, 12, 13)))[0].parent is None


def test_the_attributes_name_the_policy_and_hide_the_episode() -> None:
    attributes = dict(spans_of(traced_act())[0].attributes or {})

    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/act",
        "http.response.status_code": 200,
        "reflex.request_id": "r-1",
        "reflex.episode_hash": hashlib.sha256(b"e-1").digest()[:8].hex(),
        "reflex.policy_slot": "a",
        "reflex.model_version": "demo@1",
        "reflex.embodiment": "franka",
        "reflex.denoising_steps": 10,
    }
    assert episode_hash("e-1") != episode_hash("e-2")


@pytest.mark.parametrize(("status", "is_error"), [(400, False), (422, False), (429, False), (500, True), (504, True)])
def test_the_span_of_the_server_fails_only_when_the_server_does(status: int, is_error: bool) -> None:
    whole = spans_of(traced_act(4, status=status, error_code="some_code"))[0]

    assert (whole.status.status_code is StatusCode.ERROR) is is_error
    assert (whole.attributes or {})["error.type"] == "some_code"


@pytest.mark.parametrize("passed", range(6))
def test_the_stage_that_failed_is_the_last_and_says_why(passed: int) -> None:
    _, *stages = spans_of(traced_act(passed, status=500, error_code="some_code"))
    failed, respond = stages[-2:]

    assert [stage.name for stage in stages] == [*STAGES[: passed + 1], "respond"]
    assert failed.status.status_code is StatusCode.ERROR
    assert dict(failed.attributes or {}) == {"error.type": "some_code"}
    assert (seconds(failed), seconds(respond)) == ((passed, 7), (7, 8))
    assert all(stage.status.status_code is StatusCode.UNSET for stage in stages[:-2])


def test_a_resent_request_has_no_stage_of_the_model() -> None:
    whole, *stages = spans_of(traced_act(1, is_resent=True))

    assert [stage.name for stage in stages] == ["receive", "respond"]
    assert (whole.attributes or {})["reflex.resent"] is True


def batch(*numbers: int) -> list[ReadableSpan]:
    return [ActSpan(traced_act(), Resource({}), number) for number in numbers]


def test_requests_that_the_queue_has_dropped_are_counted_with_the_next_batch() -> None:
    exporter = exporting(InMemorySpanExporter())

    exporter.export(batch(0, 1))
    assert exporter.dropped == 0
    exporter.export(batch(4, 5, 7))

    assert exporter.dropped == 3


def test_requests_that_the_collector_did_not_take_are_counted() -> None:
    stopped = InMemorySpanExporter()
    stopped.shutdown()
    exporter = exporting(stopped)

    assert exporter.export(batch(0, 1)) is SpanExportResult.FAILURE

    assert exporter.dropped == 2


class Slow(InMemorySpanExporter):
    """Takes nothing before it is released."""

    released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert self.released.wait(HANGS_S)
        return super().export(spans)


def test_requests_without_room_in_the_queue_are_counted_while_the_collector_still_hangs() -> None:
    sink = OtlpSink("http://127.0.0.1:1")
    sink._exporter._exporter = slow = Slow()
    try:
        for _ in range(BATCH_REQUESTS):
            sink.keep(traced_act())
        wait_until(lambda: sink._exporter.following == BATCH_REQUESTS, "a batch is being tried")
        for _ in range(QUEUED_REQUESTS):
            sink.keep(traced_act())
        dropped = [sink.dropped]
        for _ in range(5):
            sink.keep(traced_act())
        dropped.append(sink.dropped)
    finally:
        slow.released.set()
        sink.close()
    assert [*dropped, sink.dropped] == [0, 5, 5]


def test_every_request_that_a_full_queue_dropped_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    total = 2 * QUEUED_REQUESTS
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = OtlpSink(f"http://127.0.0.1:{listener.getsockname()[1]}")
        for _ in range(total):
            sink.keep(traced_act())
    arrived = InMemorySpanExporter()
    sink._exporter._exporter = arrived  # the collector is well again
    sink.close()

    whole = [span for span in arrived.get_finished_spans() if isinstance(span, ActSpan)]
    assert len(whole) + sink.dropped == total
    assert sink.dropped >= total - QUEUED_REQUESTS - BATCH_REQUESTS


@pytest.fixture
def deaf_collector() -> Iterator[str]:
    """It takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
def test_a_collector_that_hangs_costs_no_time_and_bounded_memory(
    deaf_collector: str, monkeypatch: pytest.MonkeyPatch, promise: Promise
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sink = OtlpSink(deaf_collector)
    act = traced_act()
    started = time.monotonic()
    for _ in range(5 * QUEUED_REQUESTS):
        sink.keep(act)
    took_s = time.monotonic() - started
    queue = sink._processor._batch_processor._queue
    waiting = len(queue)
    queue.clear()
    sink.close()

    promise("a collector that hangs costs a request no time", took_s / (5 * QUEUED_REQUESTS), at_most=0.001)
    assert waiting <= QUEUED_REQUESTS


def test_the_service_has_a_name_that_the_environment_may_change(
    deaf_collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resource() -> dict[str, Any]:
        sink = OtlpSink(deaf_collector)
        sink.close()
        return dict(sink._resource.attributes)

    assert resource()["service.name"] == "reflex"
    assert resource()["service.version"]
    monkeypatch.setenv("OTEL_SERVICE_NAME", "arm-7")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=lab")
    assert resource()["service.name"] == "arm-7"
    assert resource()["deployment.environment.name"] == "lab"
