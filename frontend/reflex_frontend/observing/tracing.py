"""Traces of requests: begun before they are read, told after they are answered. Without the extra nothing is here.

A request pays for its ids and for one small record. The spans are made of the record elsewhere and later, see spans.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from reflex.errors import ServiceError, SetupError
from reflex.wording.install import install_line
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observing.traced_act import TracedAct
from reflex_frontend.policy.traceparent import Trace, begin_trace, traceparent_of
from reflex_frontend.settings import Settings

__all__ = ["Sink", "Tracing", "require_tracing", "tracing_at_work"]

CLOSE_S: Final = 1.5
"""For what is still to be sent when the server stops. A collector that hangs must not hold it up."""


class Sink(Protocol):
    """Where traced requests go."""

    def keep(self, act: TracedAct) -> None:
        """Costs microseconds, never waits and never raises; what there is no room for is dropped."""

    @property
    def dropped(self) -> int:
        """Requests whose spans have not arrived, and will not."""

    def close(self) -> None:
        """Send what is left. May take long."""


@dataclass(frozen=True)
class Tracing:
    """Which requests are traced, and what is noted of them."""

    sink: Sink
    sample: float
    """Share of the requests without a traceparent of their own, 0 to 1."""
    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
        """The trace of a request with these headers; None when it is not to be traced."""
        return begin_trace(traceparent_of(headers), self.sample)

    def note(self, exchange: Exchange, error: ServiceError | None, answered_at: float) -> None:
        """A traced request is answered, and its answer is on its way."""
        trace = exchange.stage_times.trace
        if trace is not None:
            self.sink.keep(self._act(trace, exchange, error, answered_at))

    def _act(self, trace: Trace, exchange: Exchange, error: ServiceError | None, answered_at: float) -> TracedAct:
        ended_at = self.now()
        request, routing, outcome = exchange.request, exchange.routing, exchange.outcome
        loaded = outcome.loaded if outcome else routing.loaded if routing else None
        config = None if loaded is None else loaded.policy.config
        return TracedAct(
            trace=trace,
            stage_times=exchange.stage_times,
            began_at=exchange.received_at,
            answered_at=answered_at,
            ended_at=ended_at,
            wall_ahead_s=self.wall() - ended_at,
            status=200 if error is None else error.status,
            error_code=None if error is None else error.code,
            request_id=None if request is None else request.request_id,
            episode_id=None if request is None else request.episode_id,
            policy_slot=None if routing is None else routing.slot.name,
            model_version=None if config is None else config.model_version,
            embodiment=None if config is None else config.embodiment,
            denoising_steps=None if config is None else config.denoising_steps,
            is_degraded=routing is not None and routing.is_degraded,
            is_resent=error is None and outcome is None,
        )


@contextlib.asynccontextmanager
async def tracing_at_work(settings: Settings) -> AsyncIterator[Tracing | None]:
    """None when the settings name no collector; `SetupError` when they do and the extra is not installed."""
    if settings.otel_endpoint is None:
        yield None
        return
    sink = _otlp_sink(settings.otel_endpoint)
    try:
        yield Tracing(sink, settings.trace_sample)
    finally:
        await asyncio.to_thread(_close, sink)


def _otlp_sink(endpoint: str) -> Sink:
    require_tracing()
    from reflex_frontend.observing.spans import OtlpSink

    return OtlpSink(endpoint)


def require_tracing() -> None:
    """`SetupError` when the extra is not installed."""
    try:
        importlib.import_module("reflex_frontend.observing.spans")
    except ModuleNotFoundError as exc:
        if exc.name is None or not exc.name.startswith("opentelemetry"):
            raise
        raise SetupError(f"traces need OpenTelemetry, which is not installed; run: {install_line('otel')}") from exc


def _close(sink: Sink) -> None:
    """In a thread that may be left behind: a hanging collector holds it for as long as its time-out."""
    closing = threading.Thread(target=sink.close, name="traces-close", daemon=True)
    closing.start()
    closing.join(CLOSE_S)
