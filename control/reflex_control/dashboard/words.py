"""Text as a page shows it: nothing in it is markup, nothing in it turns a line around, and moments are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from reflex.printable import printable_lines
from reflex.signed.moments import ms_of

__all__ = ["DONE", "STATES", "age", "badge", "bytes_of", "lasting", "moment", "name", "visible"]

SECOND, MINUTE, HOUR, DAY = 1, 60, 3_600, 86_400
UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
LONGEST_S: Final = 1_000 * DAY
BYTE_UNITS: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))

STATES: Final = {
    "dry_run": ("watch", "dry run"),
    "apply_actions": ("moves", "moves the robot"),
    "closed": ("over", "closed"),
    "expired": ("over", "expired"),
    "pass": ("good", "pass"),
    "fail": ("bad", "fail"),
    "warn": ("care", "warning"),
    "skip": ("over", "skipped"),
    "online": ("good", "online"),
    "offline": ("over", "offline"),
    "revoked": ("bad", "revoked"),
    "ready": ("good", "ready"),
    "not_ready": ("bad", "not ready"),
    "stale": ("care", "check is too old"),
    "unchecked": ("over", "never checked"),
    "whole": ("good", "whole"),
    "broken": ("bad", "broken"),
    "holds": ("good", "holds"),
    "rotating": ("care", "ends soon"),
    "registered": ("care", "not validated"),
    "validating": ("watch", "is validated"),
    "valid": ("good", "valid"),
    "invalid": ("bad", "invalid"),
    "queued": ("over", "waits"),
    "provisioning": ("watch", "gets ready"),
    "running": ("watch", "trains"),
    "succeeded": ("good", "succeeded"),
    "failed": ("bad", "failed"),
    "cancelled": ("over", "cancelled"),
    "cancel_asked": ("care", "is to end"),
    "error": ("bad", "error"),
    "warning": ("care", "warning"),
}
"""By state: the kind of its badge, and what the badge says."""

DONE: Final = {
    "checked": "The doctor has looked at this deployment; what it found stands below.",
    "promoted": "Promoted: this session moves the robot from its next heartbeat on.",
    "closed": "Closed: the session gets no answers any more.",
    "cancelled": "Cancelled: what waits has ended, and what trains ends at its worker's next beat.",
    "registered": "Registered.",
    "revoked": "Revoked.",
    "confirmed": "Confirmed: the login that showed this code has its key now.",
    "refused": "Refused: the login that showed this code gets no key.",
    "signed-out": "You are signed out.",
    "ended": "You were signed out: the time is over, or the key was taken back.",
}
"""What a page says after something was done, by the word in its address."""


def visible(value: object) -> object:
    """What the templates write out: of text, everything that is no visible character becomes its escape."""
    if value is None:
        return ""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def name(text: object) -> Markup:
    """Text that somebody chose, kept from turning around what stands beside it."""
    return Markup("<bdi>{}</bdi>").format(visible(str(text)))


def moment(text: str | None) -> Markup:
    """An ISO 8601 moment for people, in UTC; a dash for none."""
    if text is None:
        return Markup('<span class="quiet">&mdash;</span>')
    shown = f"{datetime.fromtimestamp(ms_of(text) / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}">{} UTC</time>').format(text, shown)


def age(text: str | None, now_ms: int) -> str:
    """How long ago, or in how long, in one unit: `12 s ago`."""
    if text is None:
        return "never"
    seconds = (now_ms - ms_of(text)) // 1000
    return f"in {lasting(-seconds)}" if seconds < 0 else f"{lasting(seconds)} ago"


def lasting(seconds: float) -> str:
    """How long, in one unit: `12 s`."""
    whole = int(min(max(seconds, 0), LONGEST_S))
    size, unit = next(((size, unit) for size, unit in UNITS if whole >= size), UNITS[-1])
    return f"{whole // size} {unit}"


def bytes_of(count: int) -> str:
    """How much, in one unit: `1.2 GB`."""
    size, unit = next(((size, unit) for size, unit in BYTE_UNITS if count >= size), (1, "bytes"))
    return f"{count} {unit}" if size == 1 else f"{count / size:.1f} {unit}"


def badge(state: str) -> Markup:
    """A state in a colour and in words."""
    kind, words = STATES.get(state, ("over", state))
    return Markup('<span class="badge {}">{}</span>').format(kind, escape(words))
