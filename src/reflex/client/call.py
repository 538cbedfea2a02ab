"""One call of the client, without any I/O: what to send, when to wait, when to send again, when to give up.

A `CallPlan` is a small state machine. A driver asks it for the next step, does it, and tells it what came of that:

    step = plan.send_now()
    while not isinstance(step, Answer):
        Sleep  -> sleep, then step = plan.send_now()
        Send   -> send it within step.timeout_s, then step = plan.on_answer(answer) or plan.on_broken(error)

The rules: one total deadline for everything; a 503 or 429 with Retry-After is sent again when the wait ends before the
deadline, and before the caller's patience with refusals, where there is less of it, and raised at once when it does
not; a connection that could not be made, or broke, is retried once, unless
the call must not be sent twice; a timeout never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from reflex.errors import ClientTimeoutError, ServiceError, TransportError
from reflex.wire import (
    DEADLINE_HEADER,
    EPISODE_HEADER,
    HEADER_SAFE,
    MAX_ANSWER_BYTES,
    MAX_DEADLINE_MS,
    MIN_DEADLINE_MS,
    HealthReport,
    error_from_answer,
    parse_health,
)

__all__ = ["CONFIG_CALL", "HEALTH_CALL", "METRICS_CALL", "Answer", "Call", "CallPlan", "Clock", "Send", "Sleep", "Step",
           "read_health"]  # fmt: skip

Clock = Callable[[], float]

# "Retry-After: 0" must not become a busy loop against a server that is already in trouble.
MIN_RETRY_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked. `body` is JSON or None; `final_statuses` are answers, every other status is an error."""

    method: str
    path: str
    body: bytes | None = None
    final_statuses: frozenset[int] = frozenset({200})
    episode_id: str | None = None
    """By which a load balancer keeps an episode on one server."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside those that every call has."""
    repeats: bool = True
    """Whether it may be sent again after a connection that broke: the server may have done it already."""
    tells_deadline: bool = True
    """Whether the server is told how long the answer is waited for."""
    max_answer_bytes: int = MAX_ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class Send:
    """Send `call` with `headers` and bring its whole answer within `timeout_s`."""

    call: Call
    headers: Mapping[str, str]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; `headers` compare without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Step = Send | Sleep | Answer


HEALTH_CALL: Final = Call("GET", "/health", final_statuses=frozenset({200, 503}))
CONFIG_CALL: Final = Call("GET", "/config")
METRICS_CALL: Final = Call("GET", "/metrics")


def read_health(answer: Answer) -> HealthReport:
    """The report, whatever its status; a 503 of something else (a proxy, a busy server) raises that error."""
    report = parse_health(answer.body)
    if report is None:
        raise error_from_answer(answer.status, answer.headers, answer.body)
    return report


class CallPlan:
    """The course of one call. `started_s` and `clock` share an origin; the deadline is `started_s + deadline_s`.

    `patience_s`: so long, in all, refusals are waited out; less than the deadline for who can ask another server.
    """

    def __init__(
        self, call: Call, *, started_s: float, deadline_s: float, clock: Clock, patience_s: float = math.inf
    ) -> None:
        self._call = call
        self._deadline_s = deadline_s
        self._ends_s = started_s + deadline_s
        self._clock = clock
        self._patience_s = patience_s
        self._gives_up_s = math.inf
        self._may_reconnect = True
        self._last_refusal: ServiceError | None = None

    def send_now(self) -> Send:
        """The request with what remains of the deadline; `ClientTimeoutError` when nothing does."""
        remaining_s = self._remaining_s()
        if remaining_s <= 0:
            raise self._timed_out() from self._last_refusal
        return Send(self._call, _headers(self._call, remaining_s), remaining_s)

    def on_answer(self, answer: Answer) -> Sleep | Answer:
        """The call's answer, or the wait before it is sent again; raises the server's error, or when it came late."""
        if answer.status in self._call.final_statuses:
            if self._remaining_s() <= 0:
                raise self._timed_out()  # A chunk for a moment that has passed must not be executed.
            return answer
        error = error_from_answer(answer.status, answer.headers, answer.body)
        if not error.retryable or error.retry_after_s is None:
            raise error
        pause_s = max(error.retry_after_s, MIN_RETRY_PAUSE_S)
        if pause_s >= self._waits_s():
            raise error
        self._last_refusal = error
        return Sleep(pause_s)

    def on_broken(self, error: TransportError) -> Send:
        """The one retry of a connection that broke, with the same request; otherwise raises `error`."""
        if isinstance(error, ClientTimeoutError):
            raise self._timed_out() from error
        if not (self._call.repeats and self._may_reconnect) or self._remaining_s() <= 0:
            raise error
        self._may_reconnect = False
        return self.send_now()

    def _waits_s(self) -> float:
        """How long this refusal may be waited out: patience begins with the first one."""
        self._gives_up_s = min(self._gives_up_s, self._clock() + self._patience_s)
        return min(self._remaining_s(), self._gives_up_s - self._clock())

    def _remaining_s(self) -> float:
        return self._ends_s - self._clock()

    def _timed_out(self) -> ClientTimeoutError:
        return ClientTimeoutError(
            f"no answer to {self._call.method} {self._call.path} within {self._deadline_s * 1000:.0f} ms; a late one "
            "is dropped. Give the call more time (deadline_s, or --deadline-ms of `reflex act`), or look at the "
            "server's /health"
        )


def _headers(call: Call, remaining_s: float) -> dict[str, str]:
    headers = dict(call.headers)
    if call.tells_deadline:
        headers[DEADLINE_HEADER] = str(min(max(int(remaining_s * 1000), MIN_DEADLINE_MS), MAX_DEADLINE_MS))
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.episode_id is not None:
        headers[EPISODE_HEADER] = quote(call.episode_id, safe=HEADER_SAFE)
    return headers
