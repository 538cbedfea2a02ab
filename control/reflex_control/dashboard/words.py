"""Text as a page shows it: nothing in it is markup, nothing in it turns a line around, and moments are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from reflex.printable import printable_lines
from reflex.signed.moments import ms_of

__all__ = ["DONE", "STATES", "age", "badge", "moment", "name", "visible"]

SECOND, MINUTE, HOUR, DAY = 1, 60, 3_600, 86_400
UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))

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
}
"""By state: the kind of its badge, and what the badge says."""

DONE: Final = {
    "checked": "The doctor has looked at this deployment; what it found stands below.",
    "promoted": "Promoted: this session moves the robot from its next heartbeat on.",
    "closed": "Closed: the session gets no answers any more.",
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
    size, unit = next(((size, unit) for size, unit in UNITS if abs(seconds) >= size), UNITS[-1])
    amount = abs(seconds) // size
    return f"in {amount} {unit}" if seconds < 0 else f"{amount} {unit} ago"


def badge(state: str) -> Markup:
    """A state in a colour and in words."""
    kind, words = STATES.get(state, ("over", state))
    return Markup('<span class="badge {}">{}</span>').format(kind, escape(words))
