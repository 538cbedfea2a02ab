"""`Inference`: asks the policy in a thread of its own, beside the chunk that is being executed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from reflex.connector import Observation
from reflex.errors import ClientTimeoutError, ReflexError, ServiceError, TransportError
from reflex_runner.clock import Clock
from reflex_runner.loop.ports import Transport
from reflex_runner.loop.senses import Senses
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunProblem, Tally
from reflex_runner.loop.telling import Telling
from reflex_runner.motion.descent import StopCause
from reflex_runner.motion.usable import why_unusable
from reflex_runner.tick import DatedChunk

__all__ = ["Inference", "is_passing"]

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Between two requests to a server that does not answer; a longer Retry-After counts."""
MOST_WAITING: Final = 8
"""Chunks that the control loop has not taken yet; a loop that stands still needs none of them."""
PASSING_STATUSES: Final = frozenset({408, 425, 429})
NEVER_PASSING: Final = frozenset({501, 505})
"""Another server than ours, which does not know what it is asked for."""


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later, so that the run goes on and the arm holds meanwhile."""
    if isinstance(error, ServiceError):
        may_mend = error.status >= 500 and error.status not in NEVER_PASSING
        return may_mend or error.status in PASSING_STATUSES
    return isinstance(error, TransportError | ClientTimeoutError)


class Inference:
    """Every observation is asked at most once.

    `pipelined`: while a chunk is being followed the next one is asked for; otherwise only when the robot stands.
    """

    def __init__(
        self,
        transport: Transport,
        senses: Senses,
        *,
        pipelined: bool,
        is_moving: Callable[[], bool],
        executed_steps: Callable[[DatedChunk, float], int],
        period_s: float,
        max_image_age_s: Mapping[str, float],
        stops: StopRequests,
        tally: Tally,
        telling: Telling,
        clock: Clock,
    ) -> None:
        self._transport, self._senses = transport, senses
        self._is_moving, self._executed_steps = is_moving, executed_steps
        self._pipelined = pipelined
        self._period_s, self._max_image_age_s = period_s, max_image_age_s
        self._stops, self._tally, self._telling, self._clock = stops, tally, telling, clock
        self._seq = 0
        self._last: DatedChunk | None = None
        self._pause_s = FIRST_PAUSE_S
        self._unusable: str | None = None
        self._noted: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="reflex-inference", daemon=True)
        self.chunks: deque[DatedChunk] = deque(maxlen=MOST_WAITING)
        """What was answered and the control loop has not taken yet."""
        self.trouble: RunProblem | None = None
        """What first went wrong since the last chunk came: what follows from it says less. None while they come."""

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    @property
    def is_ended(self) -> bool:
        """Whether nothing is asked any more: the run has ended, or the policy has refused for good."""
        return self._ended.is_set()

    def forget(self) -> None:
        """What was answered belongs to a motion that is over; a request that is under way is answered all the same."""
        self.chunks.clear()
        self._last = None

    def ask_no_more(self) -> None:
        """What fails from here on is no error."""
        self._ended.set()

    def end(self, within_s: float) -> bool:
        """Ask no more; whether the last request came back in time."""
        self.ask_no_more()
        if self._thread.ident is not None:
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def _go_on(self) -> None:
        seen: Observation | None = None
        while not self._ended.is_set():
            if not self._pipelined and (self.chunks or self._is_moving()):
                self._ended.wait(self._period_s / 2)
                continue
            observation = self._senses.after(seen)
            if observation is not None:
                seen = observation
                self._answer(observation)

    def _answer(self, observation: Observation) -> None:
        if not self._is_usable(observation):
            return
        try:
            self._ask(observation)
            self.trouble, self._noted, self._pause_s = None, None, FIRST_PAUSE_S
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - somebody else's code; whatever it raises stops the robot
            if not self._ended.is_set():
                self._fail(exc)

    def _is_usable(self, observation: Observation) -> bool:
        why = why_unusable(observation, self._clock.now(), self._period_s, self._max_image_age_s)
        if why is None:
            self._unusable = None
            return True
        self._tally.stale_observations += 1
        self.trouble = self.trouble or RunProblem("stale_observation", f"an observation was not sent: {why}")
        if self._unusable is None:
            self._telling.note("warning", "stale_observation", why)
        self._unusable = why
        return False

    def _ask(self, observation: Observation) -> None:
        seq, self._seq = self._seq, self._seq + 1
        asked_s = self._clock.now()
        self._telling.observed(seq, observation)
        last = self._last
        executed = None if last is None else self._executed_steps(last, observation.captured_s)
        chunk = self._transport.ask(seq, observation, executed_steps=executed)
        self._tally.answered(chunk, self._clock.now() - asked_s)
        self._telling.answered(chunk)
        self._last = chunk
        self.chunks.append(chunk)

    def _fail(self, exc: BaseException) -> None:
        code = exc.code if isinstance(exc, ReflexError) else "infer_failed"
        message = f"asking the policy failed: {str(exc) or type(exc).__name__}"
        if not is_passing(exc):
            self._ended.set()
            self._stops.request(StopCause(code, message))
            return
        if self._noted != code:
            self._telling.note("warning", code, message)
        self._noted = code
        self.trouble = self.trouble or RunProblem(code, message)
        self._ended.wait(max(self._pause_s, getattr(exc, "retry_after_s", None) or 0.0))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
