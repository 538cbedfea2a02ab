"""Whether every frontend of the deployment is there, and serves the policy that was registered, by the same clock."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Row

from reflex.readiness.checking import Check, failed, passed, skipped, together, warned
from reflex.signed.moments import ms_of
from reflex_control.doctor.case import Case
from reflex_control.doctor.sighting import SESSIONS, Sighting
from reflex_control.moments import SECOND_MS
from reflex_control.registry.models import model_version

__all__ = ["act_reachable", "clock", "model_loaded", "model_version_served"]

MAX_SKEW_MS: Final = 2 * SECOND_MS
SET_CLOCK: Final = "set that machine's clock by a time server: timedatectl set-ntp true"


def act_reachable(case: Case) -> Check:
    """Each frontend answers, and shows what it serves to this control plane."""
    if not case.records.urls:
        fix = case.records.deploy_again()
        return failed("act_reachable", "the deployment names no frontend, so nobody knows what answers its robots", fix)
    return together(_reached(case, seen) for seen in case.sightings)


def _reached(case: Case, seen: Sighting) -> Check:
    if seen.problem is not None:
        fix = case.records.deploy_again(url="URL") if seen.is_refused else seen.fix
        return failed("act_reachable", seen.problem, fix)
    if seen.is_open:
        return warned("act_reachable", f"{seen.url} answers, to everybody: it asks for no session", SESSIONS)
    return passed("act_reachable", f"{seen.url} answers, and asks for sessions of this control plane")


def model_loaded(case: Case) -> Check:
    """Each frontend says that it may get traffic."""

    def loaded(seen: Sighting) -> Check:
        if seen.health is None:
            return _unseen("model_loaded", seen)
        if seen.health.is_ready and seen.health.model_loaded:
            return passed("model_loaded", f"{seen.url} is ready")
        why = seen.health.reason or "it does not say why"
        return failed(
            "model_loaded",
            f"{seen.url} is not ready: {why}",
            f"wait until it is: reflex status {shlex.quote(seen.url)}",
        )

    return _of_each(case, "model_loaded", loaded)


def model_version_served(case: Case) -> Check:
    """Each frontend serves the registered content hash and nothing else: with two policies either may answer."""
    model = case.records.model

    def served(seen: Sighting) -> Check:
        if seen.health is None:
            return _unseen("model_version", seen)
        others = sorted(seen.health.hashes - {model.content_hash})
        if not others:
            return passed("model_version", f"{seen.url} serves {model_version(model)}")
        fix = f"serve {model_version(model)} alone there, or deploy what it serves: reflex models register FOLDER"
        return failed("model_version", f"{seen.url} serves {others[0]}; registered is {model.content_hash}", fix)

    return _of_each(case, "model_version", served)


def clock(case: Case, lead: Row[Any] | None) -> Check:
    """The frontends' clocks end credentials, and the robot's dates its observations."""
    found = [_frontend_clock(seen) for seen in case.sightings]
    if lead is not None and (lead.heartbeat or {}).get("sent_at") is not None:
        found.append(_robot_clock(lead))
    return together(found) if found else skipped("clock", "nobody has told a time")


def _frontend_clock(seen: Sighting) -> Check:
    if seen.skew_ms is None:
        return _unseen("clock", seen)
    return _judged(*seen.skew_ms, seen.url)


def _robot_clock(robot: Row[Any]) -> Check:
    try:
        ahead_ms = ms_of(robot.heartbeat["sent_at"]) - robot.heartbeat_at
    except ValueError:
        return warned("clock", f"{robot.name} sends its time in another form than 2026-11-27T10:15:00.000Z")
    return _judged(ahead_ms, ahead_ms, robot.name)


def _judged(low_ms: float, high_ms: float, what: str) -> Check:
    """By the least that its clock may be off: an answer takes its time."""
    off_ms = max(low_ms, -high_ms)
    if off_ms < MAX_SKEW_MS:
        return passed("clock", f"no clock is off by {MAX_SKEW_MS // SECOND_MS} s")
    direction = "ahead of" if off_ms == low_ms else "behind"
    return failed(
        "clock", f"the clock of {what} is {off_ms / SECOND_MS:.1f} s {direction} the control plane's", SET_CLOCK
    )


def _of_each(case: Case, name: str, look: Callable[[Sighting], Check]) -> Check:
    found: Iterator[Check] = map(look, case.sightings)
    return together(found) if case.sightings else skipped(name, "the deployment names no frontend")


def _unseen(name: str, seen: Sighting) -> Check:
    return skipped(name, f"{seen.url} has not told it; see act_reachable")
