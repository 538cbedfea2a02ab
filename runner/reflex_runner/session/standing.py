"""What a session allows at this moment: pure, the time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from reflex.errors import TransportError
from reflex_runner.config.sections import Mode

__all__ = ["Standing", "after_beat", "after_event", "granted", "said"]

FIRST_LEASE_S: Final = 30.0
"""How long a grant counts before a heartbeat has said more: as long as the control plane waits for one."""
LONGEST_LEASE_S: Final = 600.0
"""Whatever a control plane says: a robot of which nobody has heard for so long is not driven."""
OVER: Final = ("closed", "expired")
EXPIRED: Final = "its credential has expired, and no heartbeat has renewed it"


@dataclass(frozen=True, slots=True)
class Standing:
    """As the control plane said it last."""

    mode: Mode
    credential: str = field(repr=False)
    ends_s: float
    """When the credential ends, on the monotonic clock."""
    over: str | None = None
    """Why the session has ended; None while it lives."""

    def mode_at(self, now: float) -> Mode:
        """dry_run as soon as nobody vouches for more."""
        return "dry_run" if self.why_over(now) is not None else self.mode

    def why_over(self, now: float) -> str | None:
        """Why nothing may be applied under this session any more."""
        return self.over or (EXPIRED if now >= self.ends_s else None)

    def ended(self, why: str) -> Standing:
        """The first reason stays: a session never returns to life."""
        return self if self.over is not None else replace(self, over=why)


def granted(grant: Mapping[str, Any], asked_s: float) -> Standing:
    """What a grant that was asked for at `asked_s` allows."""
    return Standing(_mode(said(grant, "mode")), _credential(said(grant, "credential")), asked_s + FIRST_LEASE_S)


def after_beat(before: Standing, answer: Mapping[str, Any], asked_s: float) -> Standing:
    """What the answer to a heartbeat makes of it."""
    if before.over is not None:
        return before
    if answer.get("credential") is None:
        return before.ended(_why(answer.get("session")))
    lease_s = _seconds(said(answer, "serverTime"), said(answer, "credentialExpiresAt"))
    ends_s = asked_s + min(lease_s, LONGEST_LEASE_S)
    return Standing(_mode(said(answer, "mode")), _credential(answer["credential"]), ends_s)


def said(answer: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  # whatever JSON has
    """A field; `TransportError` where there is none, for an answer of another version is as good as none."""
    if name not in answer:
        raise TransportError(f"the control plane's answer has no {name}; is it of this version?")
    return answer[name]


def after_event(before: Standing, event: Mapping[str, Any]) -> Standing:
    """What an event of the session makes of it: it can only take leave away, never give any."""
    if before.over is not None:
        return before
    if event.get("status") in OVER:
        return before.ended(_why(event))
    return before if event.get("mode") == "apply_actions" else replace(before, mode="dry_run")


def _why(session: object) -> str:
    if not isinstance(session, Mapping):
        return "the control plane knows it no more"
    reason = session.get("reason")
    return f"it is {session.get('status')}{f': {reason}' if reason else ''}"


def _mode(given: object) -> Mode:
    """A mode of a later version may be stricter than both: nothing is applied in it."""
    return "apply_actions" if given == "apply_actions" else "dry_run"


def _credential(given: object) -> str:
    if isinstance(given, str):
        return given
    raise TransportError("the control plane gave a credential that is none; is it of this version?")


def _seconds(since: object, until: object) -> float:
    """By the control plane's own clock, whatever this computer's says."""
    try:
        return (datetime.fromisoformat(str(until)) - datetime.fromisoformat(str(since))).total_seconds()
    except (TypeError, ValueError) as exc:
        raise TransportError("the control plane gave a moment that is none; is it of this version?") from exc
