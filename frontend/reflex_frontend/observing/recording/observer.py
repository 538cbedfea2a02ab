"""Between the server and its recorder: what of an exchange goes into a line, and what stands at the top of a file."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import reflex
from reflex.errors import ServiceError
from reflex.traces.schema import PolicyRecord, RtcRecord, TraceHeader
from reflex.wire import ObserversHealth
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.routing import Router, Routing
from reflex_frontend.motion.rtc import Continuation
from reflex_frontend.observation.observation import camera_sources
from reflex_frontend.observation.request import ActRequest
from reflex_frontend.observing.recording.entry import ActEntry, recordable_images
from reflex_frontend.observing.recording.recorder import Recorder
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["Recording", "trace_header"]


def trace_header(router: Router, shadow: ServedPolicy | None, settings: Mapping[str, object]) -> TraceHeader:
    """The header of a server's files; `settings` are those that change answers, and no secret."""
    policies: dict[str, PolicyRecord] = {
        name: _policy_record(slot.loaded.policy) for name, slot in router.slots.items()
    }
    if shadow is not None:
        policies["shadow"] = _policy_record(shadow)
    return TraceHeader(
        server_id=secrets.token_hex(4),
        started_at=time.time(),
        reflex_version=reflex.__version__,
        policies=policies,
        settings=settings,
        versions={"numpy": importlib.metadata.version("numpy")},
    )


def _policy_record(policy: ServedPolicy) -> PolicyRecord:
    config, embodiment = policy.config, policy.embodiment
    return PolicyRecord(
        policy_id=config.policy_id,
        policy_hash=config.policy_hash,
        model_version=config.model_version,
        family=config.family,
        embodiment=config.embodiment,
        state_dim=config.state_dim,
        action_dim=config.action_dim,
        horizon=config.horizon,
        denoising_steps=config.denoising_steps,
        noise_dim=config.noise_dim,
        action_names=embodiment.action_names,
        control_hz=embodiment.control_hz,
    )


@dataclass
class Recording:
    """The observer that records. `header` is replaced when a slot gets another policy."""

    recorder: Recorder
    header: TraceHeader

    def note(self, exchange: Exchange, error: ServiceError | None) -> None:
        """Record an exchange that got as far as a slot; what could not be read is no request."""
        if exchange.request is not None and exchange.routing is not None:
            exchange.record_seq = self.recorder.record(_entry(exchange, exchange.request, exchange.routing, error))

    def health(self) -> ObserversHealth:
        """Nothing while all is well: a full disk must be seen, though it stops no robot."""
        return {} if self.recorder.problem is None else {"recording": self.recorder.problem}

    def gauges(self) -> Mapping[str, float]:
        """How much is recorded, how much is not, and whether anything can be."""
        return {
            "records_written": self.recorder.records_written,
            "records_dropped": self.recorder.records_dropped,
            "recording_stopped": self.recorder.problem is not None,
        }

    def note_split(self, split: int) -> None:
        """The lines from here on were routed by another split."""
        self.header = dataclasses.replace(self.header, settings={**self.header.settings, "split": split})
        self.recorder.replace_header(self.header)

    def note_policy(self, slot: str, policy: ServedPolicy) -> None:
        """Lines from here on are of another policy."""
        policies = {**self.header.policies, slot: _policy_record(policy)}
        self.header = dataclasses.replace(self.header, policies=policies)
        self.recorder.replace_header(self.header)


def _entry(exchange: Exchange, request: ActRequest, routing: Routing, error: ServiceError | None) -> ActEntry:
    outcome = exchange.outcome
    loaded = routing.loaded if outcome is None else outcome.loaded
    session = exchange.session
    entry = ActEntry(
        request_id=request.request_id,
        episode_id=request.episode_id,
        slot=routing.slot.name,
        policy=loaded.policy.config.model_version,
        status=200 if error is None else error.status,
        error=None if error is None else error.code,
        instruction=request.instruction,
        state=request.state,
        seed=request.seed,
        seed_from_client=request.seed is not None and not exchange.seed_is_drawn,
        routing_degraded=routing.is_degraded,
        session_id=None if session is None else session.session_id,
        mode=None if session is None else session.mode,
        prev_actions=request.prev_actions,
    )
    if outcome is None or error is not None:
        return entry
    is_corrected = exchange.correction is not None and exchange.correction.actions is not None
    return dataclasses.replace(
        entry,
        images=recordable_images(camera_sources(request, loaded.policy.config), outcome.pixels),
        actions_raw=outcome.chunk,
        actions=outcome.result.actions if outcome.result.clamped or is_corrected else None,
        a2c2_applied=is_corrected,
        violations=tuple(outcome.result.violations),
        latency_ms=round((outcome.finished_at - exchange.received_at) * 1000.0, 3),
        timing=outcome.timing,
        denoising_steps=loaded.policy.config.denoising_steps,
        **_continued(exchange.continuation),
    )


def _continued(continuation: Continuation | None) -> Mapping[str, Any]:
    """The fields of real-time chunking."""
    if continuation is None:
        return {}
    guidance = continuation.guidance
    if guidance is None:
        return {"rtc_reason": continuation.reason}
    weights = tuple(guidance.weights.tolist())
    executed, delay = continuation.executed_steps, continuation.delay_steps
    return {"rtc": RtcRecord(guidance.previous, weights, guidance.max_weight, executed, delay)}
