"""Every metric of the frontend, by name. Ids never become labels, except the one configured robot_id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reflex.policy_config import PolicyConfig
from reflex.wire import SlotName
from reflex_frontend.observing.shadow import Comparison
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.slo_monitor import SloMonitor

__all__ = ["CONTENT_TYPE", "Metrics", "SlotMetrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10,
)  # fmt: skip
DISTANCE_BUCKETS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1, 3)
SLOT: Final = "policy_slot"
ONLY_SLOT: Final[SlotName] = "a"
"""The slot of a server with one policy."""
STREAM_OUTCOMES: Final = ("chunk", "superseded", "late", "refused", "abandoned")


class SlotMetrics:
    """What is counted for one slot. The policy in it may change; its embodiment may not."""

    def __init__(self, families: _Families, slot: str, policy: ServedPolicy, mode: str) -> None:
        embodiment = policy.config.embodiment
        self._latency = families.latency.labels(embodiment, slot, mode)
        self.queue = families.queue.labels(slot)
        self._clamped = families.clamped.labels(embodiment)
        self._slot_clamped = families.slot_clamped.labels(slot)
        self.in_flight = families.in_flight.labels(slot)
        self.cache_hit = families.cache_hit.labels(embodiment, slot)
        self.cache_miss = families.cache_miss.labels(embodiment, slot)
        self.breaker_open = families.breaker_open.labels(slot)
        self.implausible = families.implausible.labels(slot)
        self._slo_violated = families.slo_violated.labels(slot)
        self._slo_violations = families.slo_violations
        self._embodiment = embodiment
        self._slo_counted = 0
        """Of the objective's monitor, which is a new one with each policy."""

    def observe_success(self, latency_s: float, *, clamped: bool) -> None:
        self._latency.observe(latency_s)
        if clamped:
            self._clamped.inc()
            self._slot_clamped.inc()

    def show_slo(self, slo: SloMonitor) -> None:
        """Bring the objective's metrics up to date, before they are shown."""
        self._slo_violated.set(slo.is_violated)
        self._slo_violations.labels(self._embodiment, slo.slo.name).inc(slo.violations_total - self._slo_counted)
        self._slo_counted = slo.violations_total


class PrefixMetrics:
    """What is counted of a server that keeps prefixes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        text = "Answers by whether a kept prefix was used"
        self._answers = Counter("reflex_prefix_cache", text, (SLOT, "result"), registry=registry)
        text = "What is kept of episodes' observations"
        self._bytes = Gauge("reflex_prefix_cache_bytes", text, registry=registry)
        text = "Observations that are not kept any more"
        self._evicted = Counter("reflex_prefix_cache_evicted", text, registry=registry)
        self._evicted_counted = 0

    def count(self, slot: str, *, is_hit: bool) -> None:
        """One answer."""
        self._answers.labels(slot, "hit" if is_hit else "miss").inc()

    def show(self, kept_bytes: int, evicted_total: int) -> None:
        """Bring them up to date, before they are shown."""
        self._bytes.set(kept_bytes)
        self._evicted.inc(evicted_total - self._evicted_counted)
        self._evicted_counted = evicted_total


def _as_exported(config: PolicyConfig) -> str:
    return config.inference_mode


class Metrics:
    """One registry per server, so that two servers in one process do not share counts."""

    def __init__(
        self,
        policies: Mapping[SlotName, ServedPolicy],
        robot_id: str | None,
        mode_of: Callable[[PolicyConfig], str] = _as_exported,
    ) -> None:
        self._mode_of = mode_of
        self.registry = CollectorRegistry()
        self._families = _Families(self.registry)
        self._policies = dict(policies)
        self._slots = {
            name: SlotMetrics(self._families, name, policy, mode_of(policy.config)) for name, policy in policies.items()
        }
        first = next(iter(policies.values()))
        self._embodiment = first.config.embodiment
        self._action_names = first.embodiment.action_names
        self._by_status: dict[tuple[int, str | None], tuple[Counter, ...]] = {}
        self._robot_id = robot_id or ""
        self.triton_restarts = self._families.triton_restarts
        self._rtc = self._families.rtc
        self._a2c2 = self._families.a2c2
        self._steps = self._families.steps
        self.prefixes = PrefixMetrics(self.registry)
        self._recording = {
            "records_written": self._families.records_written,
            "records_dropped": self._families.records_dropped,
            "recording_stopped": self._families.recording_stopped,
        }
        self.traces_dropped = self._families.traces_dropped
        self.keys_stale = self._families.keys_stale
        self.sessions_stale = self._families.sessions_stale
        self.split = self._families.split
        self.streams_open = self._families.streams_open
        for outcome in STREAM_OUTCOMES:
            self._families.stream_observations.labels(outcome)
        for name, policy in policies.items():
            self._show_policy(name, policy)

    @classmethod
    def of_one(cls, policy: ServedPolicy, robot_id: str | None) -> Metrics:
        """The metrics of a server with one policy."""
        return cls({ONLY_SLOT: policy}, robot_id)

    def of_slot(self, name: SlotName) -> SlotMetrics:
        return self._slots[name]

    def replace_policy(self, name: SlotName, policy: ServedPolicy) -> None:
        """Another policy answers in this slot from now on."""
        old = self._policies[name]
        self._families.robot_info.remove(self._robot_id, self._embodiment, old.config.model_version)
        self._families.policy_info.remove(name, old.config.model_version)
        self._policies[name] = policy
        self._slots[name] = SlotMetrics(self._families, name, policy, self._mode_of(policy.config))
        for slot, served in self._policies.items():
            self._show_policy(slot, served)

    def count_answer(self, status: int, slot: str | None = None) -> None:
        """One answer of /act; `slot` is None when none was chosen."""
        counters = self._by_status.get((status, slot))
        if counters is None:
            counters = self._by_status[(status, slot)] = tuple(self._counters(status, slot))
        for counter in counters:
            counter.inc()

    def count_rtc(self, slot: str, result: str) -> None:
        """`applied`, or why the chunk does not continue the one before."""
        self._rtc.labels(slot, result).inc()

    def count_a2c2(self, slot: str, result: str) -> None:
        """`applied`, or why the actions were not corrected."""
        self._a2c2.labels(slot, result).inc()

    def count_steps(self, slot: str, steps: int) -> None:
        """One answer of a slot that has variants with fewer denoising steps."""
        self._steps.labels(slot, str(steps)).inc()

    def count_observation(self, outcome: str) -> None:
        """Of a stream, one of `STREAM_OUTCOMES`."""
        self._families.stream_observations.labels(outcome).inc()

    def count_shadow(self, result: str) -> None:
        """`compared`, `dropped` or `failed`."""
        self._families.shadow.labels(result).inc()

    def observe_shadow(self, comparison: Comparison, latency_s: float, violations: int) -> None:
        """How far the shadow policy was from the one that answered."""
        self._families.shadow_latency.observe(latency_s)
        self._families.shadow_cosine_distance.observe(max(0.0, 1.0 - comparison.cosine))
        if violations:
            self._families.shadow_violations.inc(violations)
        for name, difference in zip(self._action_names, comparison.max_abs, strict=True):
            self._families.shadow_difference.labels(name).observe(difference)

    def show(self, gauges: Mapping[str, float]) -> None:
        """Bring the gauges of an observer up to date, before they are shown; `KeyError` for a name that is none."""
        for name, value in gauges.items():
            self._recording[name].set(value)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def _counters(self, status: int, slot: str | None) -> Iterable[Counter]:
        yield self._families.act_total.labels(self._embodiment, str(status))
        if slot is not None:
            yield self._families.slot_answers.labels(slot, str(status))

    def _show_policy(self, slot: str, policy: ServedPolicy) -> None:
        version = policy.config.model_version
        self._families.robot_info.labels(self._robot_id, self._embodiment, version).set(1)
        self._families.policy_info.labels(slot, version).set(1)


class _Families:
    """The metrics themselves, before their labels have values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self.act_total = counter("reflex_act", "Answers of POST /act by HTTP status", "embodiment", "status")
        self.slot_answers = counter("reflex_slot_answers", "Answers of each slot by status", SLOT, "status")
        self.latency = histogram(
            "reflex_act_latency_seconds",
            "Request receipt to response of the 200s",
            LATENCY_BUCKETS_S,
            *("embodiment", SLOT, "inference_mode"),
        )
        self.queue = histogram(
            "reflex_queue_seconds", "How long the 200s waited for a place in flight", LATENCY_BUCKETS_S, SLOT
        )
        self.clamped = counter("reflex_guard_clamped", "Answers in which ActionGuard changed an action", "embodiment")
        self.slot_clamped = counter("reflex_slot_guard_clamped", "The same, of each slot", SLOT)
        self.implausible = counter("reflex_implausible_actions", "Chunks of each slot refused as implausible", SLOT)
        self.rtc = counter("reflex_rtc", "Answers by whether they continue a chunk", SLOT, "result")
        self.steps = counter(
            "reflex_answers_by_steps", "Answers by denoising steps, of slots that may take fewer", SLOT, "steps"
        )
        self.a2c2 = counter("reflex_a2c2", "Chunks by whether they were corrected", SLOT, "result")
        self.in_flight = gauge("reflex_in_flight_requests", "Requests that Triton works on", SLOT)
        self.cache_hit = counter("reflex_cache_hit", "Resent requests answered again", "embodiment", SLOT)
        self.cache_miss = counter("reflex_cache_miss", "Answers that may be asked for again", "embodiment", SLOT)
        self.breaker_open = gauge("reflex_breaker_open", "1 while the circuit breaker is open", SLOT)
        self.split = gauge("reflex_split_percent", "Share of the episodes that slot a gets")
        self.streams_open = gauge("reflex_streams_open", "Connections to /act/stream")
        self.stream_observations = counter(
            "reflex_stream_observations", "Observations of streams by what became of them", "outcome"
        )
        self.slo_violations = counter(
            "reflex_slo_violations", "How often the latency objective went from kept to missed", "embodiment", "kind"
        )
        self.slo_violated = gauge("reflex_slo_violated", "1 while it is missed", SLOT)
        self.shadow = counter("reflex_shadow", "Copies for the shadow policy by what became of them", "result")
        self.shadow_latency = histogram("reflex_shadow_latency_seconds", "Answers of the shadow", LATENCY_BUCKETS_S)
        self.shadow_cosine_distance = histogram(
            "reflex_shadow_cosine_distance", "1 - cosine of the two raw chunks", DISTANCE_BUCKETS
        )
        self.shadow_difference = histogram(
            "reflex_shadow_max_abs", "Largest difference of an axis in a chunk, robot units", DISTANCE_BUCKETS, "axis"
        )
        self.shadow_violations = counter("reflex_shadow_violations", "What the guard would have changed")
        self.records_written = gauge("reflex_records_written", "Requests in the recordings")
        self.records_dropped = gauge("reflex_records_dropped", "Requests that were answered and not recorded")
        self.recording_stopped = gauge("reflex_recording_stopped", "1 while nothing can be recorded")
        self.keys_stale = gauge("reflex_keys_stale", "1 while the file of keys is not read again")
        self.sessions_stale = gauge("reflex_sessions_stale", "1 while ends of sessions are not heard of")
        self.traces_dropped = gauge("reflex_traces_dropped", "Traced requests whose spans did not reach the collector")
        self.triton_restarts = gauge("reflex_triton_restarts", "How often the embedded Triton was started again")
        self.robot_info = gauge("reflex_robot_info", "1", "robot_id", "embodiment", "model_id")
        self.policy_info = gauge("reflex_policy_info", "1 for the policy in each slot", SLOT, "model_id")
