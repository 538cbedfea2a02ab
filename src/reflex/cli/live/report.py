"""One look at a running server, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reflex.cli.live.counts import Counts, read_counts
from reflex.console import ADDRESS_HINT
from reflex.errors import ReflexError, TransportError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex.client import ReflexClient
    from reflex.wire import HealthReport

__all__ = ["Report", "look_at", "rows_of"]


@dataclass(frozen=True)
class Report:
    """What a server said of itself; `policies` are by slot."""

    health: HealthReport
    counts: Counts
    policies: Mapping[str, Mapping[str, Any]]
    """`/config`; empty when it was refused, and then `untold` says why."""
    untold: str | None = None

    @property
    def is_ready(self) -> bool:
        return self.health["status"] == "ready"

    def as_json(self) -> dict[str, Any]:
        """The one value of a `--json` run."""
        counts = self.counts
        answers = {"count": int(counts.answers), "mean_ms": counts.mean_ms, "p50_at_most_ms": counts.at_most_ms(0.5)}
        return {
            "health": self.health,
            "policies": {slot: _summary(config) for slot, config in self.policies.items()},
            "answers": {**answers, "p99_at_most_ms": counts.at_most_ms(0.99), "guard_clamped": int(counts.guarded)},
            "errors": {status: int(count) for status, count in counts.errors.items() if count},
        }


def look_at(client: ReflexClient) -> Report:
    """Ask /health, /metrics and /config; the last may be refused to who has no key. Raises `ReflexError`."""
    health = client.health()
    if "model_loaded" not in health:  # a control plane has a /health and /metrics, too
        raise TransportError(ADDRESS_HINT)
    counts = read_counts(client.metrics())
    try:
        config = client.config()
    except ReflexError as exc:
        return Report(health, counts, {}, str(exc))
    policies = {"a": config} if "policy_id" in config else config
    return Report(health, counts, {slot: each for slot, each in policies.items() if isinstance(each, dict)})


def rows_of(report: Report, recent: Counts | None = None) -> Iterator[tuple[str, str]]:
    """A title and a sentence for each thing that is known; `recent` is what came since the look before."""
    health = report.health
    reason = f": {health['reason']}" if "reason" in health else ""
    yield "health", f"{health['status']}{reason}"
    if "uptime_seconds" in health:
        yield "up", _duration(health["uptime_seconds"])
    yield from _policy_rows(report)
    if health.get("robot_id"):
        yield "robot id", str(health["robot_id"])
    yield from _looking_on(health)
    yield "answers", _answers(report.counts, "since the start")
    if recent is not None:
        yield "lately", _answers(recent, "since the last look")
    yield "errors", _errors(report.counts)
    yield "guard", f"changed {report.counts.guarded:.0f} of {counted(round(report.counts.answers), 'answer')}"


def _policy_rows(report: Report) -> Iterator[tuple[str, str]]:
    slots = report.health.get("slots")
    if slots:
        for name, slot in slots.items():
            state = f"{slot['status']}: {slot['reason']}" if "reason" in slot else slot["status"]
            missed = ", misses its objective" if slot.get("slo_violated") else ""
            yield f"slot {name}", f"{slot['model_version']}, {state}{missed}"
    else:
        yield "policy", f"{report.health.get('model_version')} on {report.health.get('inference_mode')}"
    if report.untold is not None:
        yield "robot", f"not told: {report.untold}"
    for config in list(report.policies.values())[:1]:  # two policies serve the same robot
        summary = _summary(config)
        rate = f"{summary['control_hz']:g} actions a second"
        yield "robot", f"{summary['embodiment']}, {rate}, {summary['horizon']} a chunk{_caution(config)}"
        yield "axes", ", ".join(f"{name} ({unit})" for name, unit in summary["axes"].items())


def _caution(config: Mapping[str, Any]) -> str:
    from reflex.client.embodiment import embodiment_of

    if not config.get("trained", True):
        return "; untrained: its actions mean nothing"
    return "; simulation only" if embodiment_of(config).simulation else ""


def _summary(config: Mapping[str, Any]) -> dict[str, Any]:
    from reflex.client.embodiment import embodiment_of

    robot = embodiment_of(config)
    return {
        "policy_id": config.get("policy_id"),
        "embodiment": robot.name,
        "control_hz": robot.control_hz,
        "axes": dict(zip(robot.action_names, robot.action_units, strict=True)),
        "horizon": config.get("horizon"),
        "trained": config.get("trained"),
    }


def _looking_on(health: HealthReport) -> Iterator[tuple[str, str]]:
    if "shadow" in health:
        yield "shadow", f"{health['shadow']['model_version']}, {health['shadow']['status']}"
    if "recording" in health:
        yield "recording", health["recording"]


def _answers(counts: Counts, when: str) -> str:
    if counts.mean_ms is None:
        return f"none {when}"
    quantiles = [
        f"p{100 * share:.0f} at most {found:.0f} ms"
        for share in (0.5, 0.99)
        if (found := counts.at_most_ms(share)) is not None
    ]
    return f"{counts.answers:.0f} {when}: {', '.join([f'mean {counts.mean_ms:.1f} ms', *quantiles])}"


def _errors(counts: Counts) -> str:
    told = [f"{count:.0f} x {status}" for status, count in sorted(counts.errors.items()) if count]
    return ", ".join(told) or "none"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
