"""What was seen of a deployment's frontends: each is asked for /health and /config, all of them at once.

A frontend that asks for sessions shows /config to a credential. The one that it is sent here goes to an address that a
user named, so it opens nothing else: it is for no policy, which no server answers /act to, and ends within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from reflex.errors import SetupError, TransportError
from reflex.outbound import DEADLINE_S, Answered, Asker, Resolver, resolve
from reflex.wire import AUTHORIZATION_HEADER
from reflex_control.doctor.told import Health, PolicyTold, read_config, read_health
from reflex_control.moments import SECOND_MS, Clock

__all__ = ["Sighting", "see"]

OK: Final = 200
UNAUTHORIZED: Final = 401
HEALTHY_OR_NOT: Final = (200, 503)
SESSIONS: Final = "start it for sessions of this control plane: reflex serve --sessions-from URL"
START: Final = "reflex serve --host 0.0.0.0 --sessions-from URL, on that machine"
UPGRADE: Final = "serve with this release of Reflex there: reflex serve"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One frontend. Where something is missing, `problem` and `fix` say why."""

    url: str
    health: Health | None = None
    policy: PolicyTold | None = None
    skew_ms: tuple[float, float] | None = None
    """Its clock is ahead of ours by something between the two; a negative one is behind."""
    is_open: bool = False
    """It asks nobody for a session or a key."""
    problem: str | None = None
    fix: str = START
    is_refused: bool = False
    """Its address is never asked."""


@dataclass(frozen=True, slots=True)
class Looking:
    """How frontends are looked at: with which credential, for which policy, by which clock."""

    credential: str
    wanted_hash: str
    clock: Clock
    resolver: Resolver = resolve
    deadline_s: float = DEADLINE_S
    """For all answers of one frontend."""


def see(urls: Sequence[str], looking: Looking) -> list[Sighting]:
    """Each of them, in their order; the time of the slowest."""
    if not urls:
        return []
    with ThreadPoolExecutor(len(urls), thread_name_prefix="reflex-doctor") as threads:
        return list(threads.map(lambda url: _seen(url, looking), urls))


def _seen(url: str, looking: Looking) -> Sighting:
    try:
        with Asker(url, deadline_s=looking.deadline_s, resolver=looking.resolver) as asker:
            return _asked(url, asker, looking)
    except SetupError as exc:
        return Sighting(url, problem=str(exc), is_refused=True)
    except TransportError as exc:
        return Sighting(url, problem=str(exc))


def _asked(url: str, asker: Asker, looking: Looking) -> Sighting:
    began_ms = looking.clock()
    answer = asker.get("/health")
    ended_ms = began_ms + SECOND_MS * (answer.answered_at_s - answer.asked_at_s)
    health = _read(answer, HEALTHY_OR_NOT, read_health)
    if not isinstance(health, Health):
        return Sighting(url, problem=f"{url}/health is no answer of a frontend of this release: {health}", fix=UPGRADE)
    skew_ms = (health.time_ms - ended_ms, health.time_ms - began_ms + 1)
    try:
        told, is_open = _configuration(asker, looking)
    except TransportError as exc:
        return Sighting(url, health, skew_ms=skew_ms, problem=str(exc))
    if told.status == UNAUTHORIZED:
        return Sighting(
            url, health, skew_ms=skew_ms, problem=f"{url} takes no session of this control plane", fix=SESSIONS
        )
    policy = _read(told, (OK,), lambda body: read_config(body, looking.wanted_hash, f"by the record of {url}"))
    if not isinstance(policy, PolicyTold):
        problem = f"{url}/config is no answer of a frontend of this release: {policy}"
        return Sighting(url, health, skew_ms=skew_ms, problem=problem, fix=UPGRADE)
    return Sighting(url, health, policy, skew_ms, is_open)


def _configuration(asker: Asker, looking: Looking) -> tuple[Answered, bool]:
    """The answer, and whether it came without a credential."""
    told = asker.get("/config")
    if told.status != UNAUTHORIZED:
        return told, True
    return asker.get("/config", {AUTHORIZATION_HEADER: f"Bearer {looking.credential}"}), False


def _read(answer: Answered, statuses: Sequence[int], read: Callable[[bytes], Health | PolicyTold]) -> object:
    """What is read of it, or why it is not."""
    if answer.status not in statuses:
        follows = ", which is not followed" if 300 <= answer.status < 400 else ""
        return f"status {answer.status}{follows}"
    try:
        return read(answer.body)
    except ValueError as exc:
        return str(exc)
