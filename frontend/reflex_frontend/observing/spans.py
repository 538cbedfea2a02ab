"""Requests as OpenTelemetry spans, sent with OTLP over HTTP by a thread of their own. Needs the extra `otel`.

Spans are made here from the times that a request has left behind, not as it goes: the SDK's own way costs 30 us a span
and there are eight of them. What waits for the collector is one object a request; its stages become spans when it is
sent.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

import reflex
from reflex_frontend.observing.delivery import Delivery, HeardSession
from reflex_frontend.observing.traced_act import TracedAct
from reflex_frontend.policy.traceparent import Trace

__all__ = ["ActSpan", "OtlpSink", "SpansOfActs", "episode_hash"]

NAME: Final = "POST /act"
TRACES_PATH: Final = "/v1/traces"
QUEUED_REQUESTS: Final = 1024
"""Beyond it the oldest are dropped; less than 2 MB."""
BATCH_REQUESTS: Final = 16
"""Encoding holds Python's lock, at 30 us a span: so much at once costs a robot's request no more than 4 ms."""
DELAY_MS: Final = 1_000.0

SCOPE: Final = InstrumentationScope("reflex", reflex.__version__)
IDS: Final = RandomIdGenerator()


class ActSpan(ReadableSpan):
    """The span of one whole request, with what the spans of its stages will be made of."""

    def __init__(self, act: TracedAct, resource: Resource, number: int = 0) -> None:
        self.act = act
        self.number = number
        """How many traced requests were kept before it."""
        super().__init__(
            NAME,
            context=_context(act.trace, act.trace.span_id),
            parent=None if act.trace.parent_id is None else _context(act.trace, act.trace.parent_id, is_remote=True),
            resource=resource,
            kind=SpanKind.SERVER,
            # HTTP semantic conventions: what the client got wrong is no error of the server's span.
            status=Status(StatusCode.ERROR) if act.status >= 500 else Status(StatusCode.UNSET),
            start_time=_unix_ns(act, act.began_at),
            end_time=_unix_ns(act, act.ended_at),
            instrumentation_scope=SCOPE,
        )

    @property
    def attributes(self) -> Mapping[str, str | int | bool]:
        act = self.act
        known: dict[str, str | int | None] = {
            "http.request.method": "POST",
            "http.route": "/act",
            "http.response.status_code": act.status,
            "error.type": act.error_code,
            "reflex.request_id": act.request_id,
            "reflex.episode_hash": None if act.episode_id is None else episode_hash(act.episode_id),
            "reflex.policy_slot": act.policy_slot,
            "reflex.model_version": act.model_version,
            "reflex.embodiment": act.embodiment,
            "reflex.denoising_steps": act.denoising_steps,
            "reflex.routing_degraded": act.is_degraded or None,
            "reflex.resent": act.is_resent or None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def stages(self) -> Iterator[ReadableSpan]:
        """One span for each stage that the request came to, the one in which it failed marked so."""
        act, began_at = self.act, self.act.began_at
        for name, ended_at in _left(act):
            if ended_at is None:
                if act.error_code is not None:
                    yield self._stage(name, began_at, act.answered_at, act.error_code)
                began_at = act.answered_at
                break
            yield self._stage(name, began_at, ended_at)
            began_at = ended_at
        yield self._stage("respond", began_at, act.ended_at)

    def _stage(self, name: str, began_at: float, ended_at: float, error: str | None = None) -> ReadableSpan:
        is_call = name == "infer"
        return ReadableSpan(
            name,
            context=_context(self.act.trace, self.act.trace.infer_id if is_call else IDS.generate_span_id()),
            parent=self.context,
            resource=self.resource,
            attributes=None if error is None else {"error.type": error},
            kind=SpanKind.CLIENT if is_call else SpanKind.INTERNAL,
            status=Status(StatusCode.UNSET) if error is None else Status(StatusCode.ERROR),
            start_time=_unix_ns(self.act, began_at),
            end_time=_unix_ns(self.act, ended_at),
            instrumentation_scope=SCOPE,
        )


class SpansOfActs(SpanExporter):
    """Hands each request on as its spans, counts those that never arrive, and tells `delivery` which do."""

    def __init__(self, exporter: SpanExporter, delivery: Delivery) -> None:
        self._exporter = exporter
        self._delivery = delivery
        self.following = 0
        """The number of the request that comes after the last batch."""
        self.dropped = 0
        """Requests that the collector did not take, and those that the queue dropped before the last batch."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._count_pushed_out(spans)
        result = self._exporter.export([each for span in spans for each in _with_stages(span)])
        if result is SpanExportResult.SUCCESS:
            self._delivery.arrived(self.dropped)
        else:
            self.dropped += len(spans)
            self._delivery.given_up()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def _count_pushed_out(self, spans: Sequence[ReadableSpan]) -> None:
        """Those whose numbers are missing: the queue hands on in order and tells nobody what it drops."""
        numbers = [span.number for span in spans if isinstance(span, ActSpan)]
        following = max(numbers, default=self.following - 1) + 1
        self.dropped += max(0, following - self.following - len(spans))
        self.following = following


class OtlpSink:
    """Sends to the collector at `endpoint`, its base URL; OpenTelemetry's own variables say the rest.

    A request that waits for a collector that is slow or gone costs nobody anything: beyond `QUEUED_REQUESTS` the
    oldest are dropped, and counted.
    """

    def __init__(self, endpoint: str) -> None:
        # `Delivery` speaks. A collector that is away for a night would fill the log, with each try and each batch.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._resource = _resource()
        self._kept = 0
        url = endpoint.rstrip("/") + TRACES_PATH
        delivery = Delivery(url)
        self._exporter = SpansOfActs(OTLPSpanExporter(url, session=HeardSession(delivery)), delivery)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUED_REQUESTS,
            max_export_batch_size=BATCH_REQUESTS,
            schedule_delay_millis=DELAY_MS,
        )

    def keep(self, act: TracedAct) -> None:
        self._processor.on_end(ActSpan(act, self._resource, self._kept))
        self._kept += 1

    @property
    def dropped(self) -> int:
        """Those of lost batches, and those that had no room in the queue behind the batch that is being tried."""
        waiting = self._kept - self._exporter.following
        return self._exporter.dropped + max(0, waiting - QUEUED_REQUESTS)

    def close(self) -> None:
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def episode_hash(episode_id: str) -> str:
    """The first 8 bytes of SHA-256, those that choose the slot, in hexadecimal: it tells episodes apart."""
    return hashlib.sha256(episode_id.encode()).hexdigest()[:16]


def _resource() -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what we call ourselves."""
    ours = Resource.create({"service.name": "reflex", "service.version": reflex.__version__})
    return ours.merge(OTELResourceDetector().detect())


def _with_stages(span: ReadableSpan) -> Iterator[ReadableSpan]:
    yield span
    if isinstance(span, ActSpan):
        yield from span.stages()


def _left(act: TracedAct) -> tuple[tuple[str, float | None], ...]:
    stage_times = act.stage_times
    return (
        ("receive", stage_times.received_at),
        ("route", stage_times.routed_at),
        ("decode", stage_times.decoded_at),
        ("queue", stage_times.queued_at),
        ("infer", stage_times.inferred_at),
        ("guard", stage_times.guarded_at),
    )


def _context(trace: Trace, span_id: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace.trace_id, span_id, is_remote, TraceFlags(trace.flags))


def _unix_ns(act: TracedAct, moment: float) -> int:
    return int((moment + act.wall_ahead_s) * 1e9)
