"""The course of a stream on its client's side, without any I/O: what was sent, what came, what may be delivered.

A driver tells it what happens and asks it what to do:

    seq = course.begin()          an observation is on its way
    course.on_frame(frame)        the server said something
    course.on_closed(error)       the connection is gone
    course.tick()                 time passed; True: send a ping, and
    course.pinged(is_answered)    here is how to see whether its pong came
    course.wakes_at()             when to call `tick` again, at the latest
    course.take()                 a chunk to deliver, None for none yet; or raises what is to be told

Each observation ends in exactly one of the counts. A chunk is delivered before its observation's deadline and in the
order of the observations, or not at all. When an observation's deadline passes and nothing came since it was sent, not
even the pong to a ping, the connection counts as dead.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reflex.client.streaming.errors import OpenTiming, RecvTimeoutError
from reflex.client.streaming.opening import Clock
from reflex.errors import ServiceError, TransportError, service_error
from reflex.wire.stream import SUPERSEDED, ReadyFrame

__all__ = ["StreamCounts", "StreamCourse", "error_of"]

PING_SHARE: Final = 0.25
"""Of the deadline: after so long a silence the server is asked whether it is there."""
SURE_AFTER_S: Final = 0.02
KEPT_ERRORS: Final = 64
PINGS: Final[Mapping[bool | None, str]] = {
    True: "pings are answered",
    False: "the last ping was not answered (the network?)",
    None: "no ping was sent",
}
NOT_IN_CONTEXT: Final = frozenset({"type", "error", "message", "status", "request_id", "retry_after_s"})


@dataclass
class StreamCounts:
    """What became of the observations; each is in one of the counts but `sent`, `strays` and `reconnects`."""

    sent: int = 0
    delivered: int = 0
    superseded: int = 0
    """Overtaken by a newer one before the server began them."""
    replaced: int = 0
    """Their chunk was not fetched before a newer one came."""
    stale: int = 0
    """Their chunk came after that of a newer observation."""
    late: int = 0
    """No chunk before their deadline; one that came later was dropped."""
    refused: int = 0
    """Answered by an error, which was raised."""
    lost: int = 0
    """Unanswered when the connection went."""
    strays: int = 0
    """Answers to nothing that was waited for: to an observation whose deadline had passed, say."""
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class _Sent:
    seq: int
    sent_at: float
    deadline: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    sent: _Sent
    frame: Mapping[str, Any]
    received_at: float


@dataclass
class StreamCourse:
    """One stream, over all its connections; `clock` gives monotonic seconds, `deadline_s` bounds each observation."""

    deadline_s: float
    clock: Clock
    counts: StreamCounts = field(default_factory=StreamCounts)
    open_timing: OpenTiming = field(default_factory=lambda: OpenTiming())
    ready: ReadyFrame | None = None
    broken: TransportError | None = None
    """Why there is no connection; None while there is one."""
    _outstanding: OrderedDict[int, _Sent] = field(default_factory=OrderedDict)
    _waiting: _Waiting | None = None
    _errors: deque[ServiceError] = field(default_factory=lambda: deque(maxlen=KEPT_ERRORS))
    _last_seq: int = 0
    _newest_delivered: int = 0
    _heard_at: float = float("-inf")
    _pinged_at: float | None = None
    """When a ping was sent that is not answered."""
    _suspected_at: float | None = None
    """When a deadline first passed in silence."""
    _has_pong: Callable[[], bool] = lambda: False
    _is_ping_answered: bool | None = None
    _is_answered: bool = False

    @property
    def outstanding(self) -> int:
        """Observations that were sent and are in none of the counts yet."""
        return len(self._outstanding) + (self._waiting is not None)

    def on_opened(self, ready: ReadyFrame, open_timing: OpenTiming) -> None:
        """There is a connection, the first one or another."""
        self.counts.reconnects += self.ready is not None
        self.ready, self.open_timing, self.broken = ready, open_timing, None
        self._pinged_at, self._is_ping_answered, self._is_answered = None, None, False
        self._heard_at, self._suspected_at = self.clock(), None

    def begin(self) -> int:
        """The number of an observation that is about to be sent."""
        self._last_seq += 1
        now = self.clock()
        self._outstanding[self._last_seq] = _Sent(self._last_seq, now, now + self.deadline_s)
        self.counts.sent += 1
        return self._last_seq

    def withdraw(self, seq: int) -> None:
        """It was not sent after all."""
        if self._outstanding.pop(seq, None) is not None:
            self.counts.sent -= 1

    def on_frame(self, frame: Mapping[str, Any]) -> None:
        """A frame of the server; what this version does not know is passed over."""
        self._heard(self.clock())
        kind = frame.get("type")
        if kind == "chunk":
            self._is_answered = True
            self._on_chunk(frame)
        elif kind == "error":
            self._is_answered = True
            self._on_error(frame)

    def on_closed(self, error: TransportError) -> None:
        """The connection is gone; what it still owed will not come."""
        if self.broken is None:
            self.broken = error
        self.counts.lost += len(self._outstanding)
        self._outstanding.clear()

    def tick(self) -> bool:
        """Drop what is late. True when a ping is to be sent.

        Only who has read all that came may call it: what lies unread in a program that was busy is no silence.
        """
        self._drop_late()
        is_due = bool(self._outstanding) and self._pinged_at is None and self.clock() >= self._ping_at()
        if is_due:
            self._pinged_at, self._is_ping_answered, self._has_pong = self.clock(), False, lambda: False
        return is_due

    def pinged(self, is_answered: Callable[[], bool]) -> None:
        """The ping was sent."""
        self._has_pong = is_answered

    def wakes_at(self) -> float:
        """When `tick` has something to do, at the latest; somebody may begin an observation until then."""
        soon = self.clock() + self.deadline_s * PING_SHARE
        if not self._outstanding:
            return soon
        if self._suspected_at is not None:
            return self._suspected_at + SURE_AFTER_S
        deadline = next(iter(self._outstanding.values())).deadline
        return min(soon, deadline) if self._pinged_at is not None else min(soon, deadline, self._ping_at())

    def take(self) -> dict[str, Any] | None:
        """The newest chunk, if it is still fresh, with `seq`, `age_ms` and `round_trip_ms`; None when there is none.

        Raises what the server said of an observation, and why there is no connection when there is none.
        """
        waiting, self._waiting = self._waiting, None
        now = self.clock()
        if waiting is not None and now < waiting.sent.deadline:
            return self._delivered(waiting, now)
        self.counts.late += waiting is not None
        if self._errors:
            raise self._errors.popleft()
        if self.broken is not None:
            raise self.broken
        return None

    def timed_out(self, timeout_s: float) -> RecvTimeoutError:
        """What is known when no chunk came for `timeout_s`."""
        return self._time_out(f"no chunk within {timeout_s:g} s")

    def _delivered(self, waiting: _Waiting, now: float) -> dict[str, Any]:
        sent = waiting.sent
        self.counts.delivered += 1
        self._newest_delivered = sent.seq
        times = {
            "round_trip_ms": round((waiting.received_at - sent.sent_at) * 1000.0, 3),
            "age_ms": round((now - sent.sent_at) * 1000.0, 3),
        }
        return {key: value for key, value in waiting.frame.items() if key != "type"} | times

    def _on_chunk(self, frame: Mapping[str, Any]) -> None:
        sent, now = self._answered(frame), self.clock()
        if sent is None:
            return
        newest = max(self._newest_delivered, self._waiting.sent.seq if self._waiting else 0)
        if now >= sent.deadline:
            self.counts.late += 1
        elif sent.seq < newest:
            self.counts.stale += 1
        else:
            self.counts.replaced += self._waiting is not None
            self._waiting = _Waiting(sent, frame, now)

    def _on_error(self, frame: Mapping[str, Any]) -> None:
        code = frame.get("error")
        if "seq" in frame and self._answered(frame) is None:
            return
        if code == SUPERSEDED:
            self.counts.superseded += 1
        elif code == "deadline_exceeded":
            self.counts.late += 1
        else:
            self.counts.refused += "seq" in frame
            self._errors.append(error_of(frame))

    def _answered(self, frame: Mapping[str, Any]) -> _Sent | None:
        seq = frame.get("seq")
        sent = self._outstanding.pop(seq, None) if isinstance(seq, int) else None
        self.counts.strays += sent is None
        return sent

    def _drop_late(self) -> None:
        if self._pinged_at is not None and self._has_pong():
            self._heard(self._pinged_at)  # at least so late
        now = self.clock()
        while self._outstanding and (oldest := next(iter(self._outstanding.values()))).deadline <= now:
            is_silent = self._heard_at < oldest.sent_at and self.broken is None
            if is_silent and not self._is_sure(now):
                return
            del self._outstanding[oldest.seq]
            self.counts.late += 1
            if is_silent:
                self.on_closed(self._silence(oldest))

    def _is_sure(self, now: float) -> bool:
        """Whether there was time to read since silence was suspected: what a stopped program has not read is none."""
        if self._suspected_at is None:
            self._suspected_at = now
        return now >= self._suspected_at + SURE_AFTER_S

    def _heard(self, at: float) -> None:
        self._heard_at = max(self._heard_at, at)
        self._suspected_at = None
        if self._pinged_at is not None:
            self._pinged_at, self._is_ping_answered = None, True

    def _ping_at(self) -> float:
        """A while after the oldest unanswered observation was sent, and after the last sign of life."""
        oldest = next(iter(self._outstanding.values()))
        return max(oldest.sent_at, self._heard_at) + self.deadline_s * PING_SHARE

    def _silence(self, oldest: _Sent) -> RecvTimeoutError:
        return self._time_out(
            f"no answer to observation {oldest.seq} within its {self.deadline_s * 1000:.0f} ms, nor any sign of life "
            "since it was sent; the connection was dropped, and the next observation opens another",
            is_alive=False,
        )

    def _time_out(self, what: str, *, is_alive: bool = True) -> RecvTimeoutError:
        counts = self.counts
        known = [
            what,
            f"of {counts.sent} observations {counts.late} were late, {counts.superseded} superseded",
            "answers have come before" if self._is_answered else "never an answer (a model that starts cold?)",
            PINGS[self._is_ping_answered],
            f"open_timing {dict(self.open_timing)}",
        ]
        return RecvTimeoutError(
            "; ".join(known),
            is_answered=self._is_answered,
            is_alive=is_alive and self._is_ping_answered is not False,
            open_timing=self.open_timing,
        )


def error_of(frame: Mapping[str, Any]) -> ServiceError:
    """The server's error, as over HTTP; `context` has the observation's `seq`."""
    code, message, retry_s = frame.get("error"), frame.get("message"), frame.get("retry_after_s")
    status, request_id = frame.get("status"), frame.get("request_id")
    return service_error(
        code if isinstance(code, str) else "internal",
        message if isinstance(message, str) else "the server gave no reason",
        status=status if isinstance(status, int) else None,
        request_id=request_id if isinstance(request_id, str) else None,
        retry_after_s=retry_s if isinstance(retry_s, int | float) else None,
        context={key: value for key, value in frame.items() if key not in NOT_IN_CONTEXT},
    )
