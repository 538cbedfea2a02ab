"""`RobotSession`: leave to drive one robot, kept alive by a thread of its own that also reports what happened."""

from __future__ import annotations

import functools
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, Unpack

from reflex.control.errors import SessionGoneError
from reflex.control.objects import Grant, Heartbeat, HeartbeatAnswer, Session
from reflex.control.texts import as_reason
from reflex.errors import ReflexError, ServiceError, TransportError
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.config.sections import Mode, SessionConfig
from reflex_runner.session.listening import Feed, Listening
from reflex_runner.session.standing import Standing, after_beat, after_event, granted, said

__all__ = ["ControlPlane", "Report", "RobotSession", "authorize"]

AGAIN_S: Final = 2.0
"""Until the next try, when a heartbeat was not answered."""
LEAST_EVERY_S: Final = 0.5
CLOSE_WITHIN_S: Final = 15.0
REFUSALS: Final = frozenset({401, 403, 404, 410})
"""What no later heartbeat mends: the key, the robot or the session is gone."""

Report = Callable[[], Heartbeat]
"""The counts of the run so far, as `heartbeat_robot` takes them."""

logger = logging.getLogger(__name__)


class ControlPlane(Protocol):
    """What is asked of `reflex.control.ControlClient`."""

    def authorize_session(
        self, *, deployment_id: str | None, robot_id: str | None, base_model: str | None, mode: Mode
    ) -> Grant: ...
    def heartbeat_robot(self, robot_id: str, **report: Unpack[Heartbeat]) -> HeartbeatAnswer: ...
    def report_safe_stop(self, session_id: str, *, reason: str) -> Session: ...
    def close_session(self, session_id: str, *, reason: str = ...) -> Session: ...
    def event_feed(self, kind: str) -> Feed: ...


@dataclass(frozen=True, slots=True)
class _Identity:
    session_id: str
    robot_id: str
    deployment_id: str
    act_urls: tuple[str, ...]
    every_s: float


class RobotSession:
    """Use it as a context manager: inside it beats, and at the end it is closed.

    `told` is called, from the thread that beats, whenever the mode or the life of the session has changed.
    """

    def __init__(
        self,
        plane: ControlPlane,
        grant: Grant,
        every_s: float,
        *,
        clock: Clock = SYSTEM_CLOCK,
        asked_s: float | None = None,
    ) -> None:
        self._plane = plane
        self._clock = clock
        self._identity = _identity_of(grant, every_s)
        self._standing = granted(grant, clock.now() if asked_s is None else asked_s)
        self._report: Report = Heartbeat
        self._told: Callable[[], None] = lambda: None
        self._stops: deque[str] = deque()
        self._wake = threading.Event()
        self._is_closing = self._is_unheard = False
        self._changing = threading.RLock()
        self._beats_now = False
        self._listening = Listening(plane.event_feed("session"), self.session_id, self._hear)
        self._thread = threading.Thread(target=self._beat_on, name="reflex-session", daemon=True)

    @property
    def session_id(self) -> str:
        return self._identity.session_id

    @property
    def act_url(self) -> str | None:
        """Where the deployment's policy is served; the first of several."""
        return next(iter(self.act_urls), None)

    @property
    def act_urls(self) -> tuple[str, ...]:
        """All of them; the next is asked when one answers no more."""
        return self._identity.act_urls

    @property
    def mode(self) -> Mode:
        """What may happen to the robot now, as far as the control plane has a say."""
        return self._standing.mode_at(self._clock.now())

    @property
    def over(self) -> str | None:
        """Why it has ended; None while it lives."""
        return self._standing.why_over(self._clock.now())

    @property
    def is_heard(self) -> bool:
        """Whether its changes come as they happen, and not with the next heartbeat."""
        return self._listening.is_heard

    def credential(self) -> str:
        """The one that holds now, for every request to the server."""
        return self._standing.credential

    def follow(self, report: Report, told: Callable[[], None]) -> None:
        """Report these counts from now on, and tell of every change."""
        self._report, self._told = report, told

    def note_safe_stop(self, reason: str) -> None:
        """Let the control plane know, without waiting for it, whatever the robot said of it."""
        self._stops.append(as_reason(reason))
        self._wake.set()

    def start(self) -> None:
        """Say that the robot lives, and keep on saying it."""
        self._beat()
        self._thread.start()
        self._listening.start()

    def close(self, reason: str) -> None:
        """Report what is left to report, and end the session: of a control plane that was silent of late, only that."""
        self._is_closing = True
        self._listening.end()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN_S)
        try:
            if not self._is_unheard:
                self._report_stops()
            if self._standing.over is None:
                if not self._is_unheard:
                    self._plane.heartbeat_robot(self._identity.robot_id, **self._fields())
                self._plane.close_session(self.session_id, reason=reason)
        except ReflexError as exc:  # it ends by itself, without heartbeats
            logger.warning("session %s could not be closed: %s", self.session_id, exc)
        self._change(lambda now: now.ended(f"it is closed: {reason}"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close("runner_ended" if kind is None else "runner_failed")

    def _beat_on(self) -> None:
        next_s = self._clock.now() + self._identity.every_s
        while not self._is_closing:
            is_woken = self._wake.wait(max(0.0, next_s - self._clock.now()))
            self._wake.clear()
            if not is_woken or self._beats_now:
                self._beats_now = False
                next_s = self._clock.now() + (self._identity.every_s if self._beat() else self._soon_s)
            self._report_stops()

    @property
    def _soon_s(self) -> float:
        return min(AGAIN_S, self._identity.every_s)

    def _beat(self) -> bool:
        """Whether it was answered."""
        asked_s = self._clock.now()
        try:
            answer = self._plane.heartbeat_robot(self._identity.robot_id, **self._fields())
            self._change(lambda now: after_beat(now, answer, asked_s))
        except ServiceError as exc:
            if exc.status in REFUSALS:
                self._end(exc.message)
            return self._unanswered(exc)
        except ReflexError as exc:
            return self._unanswered(exc)
        self._is_unheard = False
        return True

    def _unanswered(self, error: ReflexError) -> bool:
        """Without answers the credential runs out, and then nothing is applied any more."""
        logger.warning("heartbeat of session %s: %s", self.session_id, error)
        self._is_unheard = isinstance(error, TransportError)
        return False

    def _fields(self) -> Heartbeat:
        identity = self._identity
        return {
            **self._report(),
            "session_id": identity.session_id,
            "deployment_id": identity.deployment_id,
            "mode": self.mode,
        }

    def _report_stops(self) -> None:
        while self._stops and self._standing.over is None:
            try:
                self._plane.report_safe_stop(self.session_id, reason=self._stops[0])
            except SessionGoneError as exc:
                self._end(exc.message)
            except ReflexError as exc:  # the next heartbeat counts it all the same
                logger.warning("a safe stop of session %s could not be reported: %s", self.session_id, exc)
                self._is_unheard = isinstance(exc, TransportError)
            self._stops.popleft()

    def _hear(self, event: Mapping[str, Any]) -> None:
        """What is taken away counts at once; what more there is to know the next heartbeat says, which is now."""
        self._change(lambda now: after_event(now, event))
        self._beats_now = True
        self._wake.set()

    def _end(self, why: str) -> None:
        self._change(lambda now: now.ended(why))

    def _change(self, made: Callable[[Standing], Standing]) -> None:
        with self._changing:
            before, self._standing = self._standing, made(self._standing)
            now = self._standing
        if (before.mode, before.over) != (now.mode, now.over):
            self._told()


def authorize(plane: ControlPlane, settings: SessionConfig, mode: Mode, *, clock: Clock = SYSTEM_CLOCK) -> RobotSession:
    """A session in `mode`; in dry_run where the key may not promote, to wait for somebody who may.

    `DeploymentNotReadyError` says what keeps the deployment from driving hardware.
    """
    asked_s = clock.now()
    asked = functools.partial(
        plane.authorize_session, deployment_id=settings.deployment_id, robot_id=settings.robot_id, base_model=None
    )
    try:
        grant = asked(mode=mode)
    except ServiceError as exc:
        if mode == "dry_run" or exc.code != "forbidden":
            raise
        grant = asked(mode="dry_run")
    return RobotSession(plane, grant, settings.heartbeat_interval_s, clock=clock, asked_s=asked_s)


def _identity_of(grant: Grant, every_s: float) -> _Identity:
    urls = said(grant, "actUrl") or None
    return _Identity(
        session_id=said(grant, "sessionId"),
        robot_id=str(said(grant, "robotId")),
        deployment_id=said(grant, "deploymentId"),
        act_urls=() if urls is None else (urls,) if isinstance(urls, str) else tuple(urls),
        every_s=min(every_s, _seconds(said(grant, "heartbeatSeconds"))),
    )


def _seconds(given: object) -> float:
    """Not as often as a control plane that has lost its mind may want it."""
    if isinstance(given, int | float) and math.isfinite(given):
        return max(LEAST_EVERY_S, float(given))
    raise TransportError("the control plane does not say how often it wants to hear of a robot; is it of this version?")
