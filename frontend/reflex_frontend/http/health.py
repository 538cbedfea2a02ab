"""What /health says: whether this instance should get traffic now."""

from __future__ import annotations

import time

from reflex.signed.moments import iso_of
from reflex.wire import HealthReport, ObserversHealth, SlotHealth
from reflex_frontend.act.act import ActService
from reflex_frontend.callers.sessions import NO_KEYSET
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.policy.vitals import Status

__all__ = ["health_of"]


def health_of(service: ActService, robot_id: str | None) -> tuple[int, HealthReport]:
    """The HTTP status and the body. With two slots one that is ready is enough."""
    status, reason = _status(service)
    slot = _healthiest(service.router)
    config = slot.loaded.policy.config
    body: HealthReport = {
        "status": status,
        "model_loaded": slot.loaded.vitals.warming_reason is None,
        "model_version": config.model_version,
        "policy_hash": config.policy_hash,
        "guard_active": slot.loaded.guard is not None,
        "time": iso_of(time.time_ns() // 1_000_000),
        "inference_mode": service.device.mode(config),
        "uptime_seconds": round(service.instance.uptime_s, 3),
        "robot_id": robot_id,
        "cuda_graphs_active": service.device.replays_graphs(),
    }
    if service.device.name is not None:
        body["device"] = service.device.name
    if service.device.card is not None:
        body["gpu"] = service.device.card
    if service.device.passed_over:
        # Without what to type: that names folders of this machine, and is in the log.
        body["device_passed_over"] = [sentence.partition("; ")[0] for sentence in service.device.passed_over]
    if reason is not None:
        body["reason"] = reason
    if service.injected_latency_s:
        body["injected_latency_ms"] = round(service.injected_latency_s * 1000.0, 3)
    violated = [each.slo.is_violated for each in service.router.slots.values() if each.slo is not None]
    if violated:
        body["slo_violated"] = any(violated)
    if service.router.has_two:
        body["slots"] = {name: _slot_health(each) for name, each in service.router.slots.items()}
    looking_on: ObserversHealth = {}
    for observer in service.observers:
        looking_on.update(observer.health())
    if service.keys is not None and (stale := service.keys.stale):
        looking_on["keys"] = stale
    if service.sessions is not None and (stale := service.sessions.stale):
        looking_on["sessions"] = stale
    return (200 if status == "ready" else 503), {**body, **looking_on}


def _status(service: ActService) -> tuple[Status, str | None]:
    if service.instance.is_draining:
        return "degraded", "draining: this instance is shutting down"
    status, reason = _healthiest(service.router).loaded.vitals.status()
    if status == "ready" and service.sessions is not None and service.sessions.is_waiting:
        return "warming", NO_KEYSET
    return status, reason


def _healthiest(router: Router) -> Slot:
    """The first slot that is ready; where none is, the first that is not merely warming."""
    order = {"ready": 0, "degraded": 1, "warming": 2}
    return min(router.slots.values(), key=lambda slot: order[slot.loaded.vitals.status()[0]])


def _slot_health(slot: Slot) -> SlotHealth:
    status, reason = slot.loaded.vitals.status()
    config = slot.loaded.policy.config
    health: SlotHealth = {
        "status": status, "model_version": config.model_version, "policy_hash": config.policy_hash,
    }  # fmt: skip
    if reason is not None:
        health["reason"] = reason
    if slot.slo is not None:
        health["slo_violated"] = slot.slo.is_violated
    return health
