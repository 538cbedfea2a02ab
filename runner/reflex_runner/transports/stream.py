"""`stream`: observations and chunks over one connection that stays open, and is opened anew when it was lost."""

from __future__ import annotations

import time
from typing import Any, Final

from reflex.client import ActionStream
from reflex.connector import Observation
from reflex.errors import ServiceError
from reflex.wire import MAX_DEADLINE_MS
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.pictures import encoded
from reflex_runner.transports.transport import Asking

__all__ = ["StreamTransport"]

LONGEST_DEADLINE_S: Final = MAX_DEADLINE_MS / 1000.0
LEAST_S: Final = 0.001
ENDS: Final = (401, 403)


class StreamTransport:
    """`WS /act/stream` of a Reflex server."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        target = asking.target
        self._stream = ActionStream(
            prompt=asking.instruction,
            url=asking.url,
            api_key=asking.api_key,
            session_id=asking.episode_id,
            timeout=target.timeout_s,
            connect_retry_seconds=target.connect_timeout_s,
            deadline_s=min(target.timeout_s, LONGEST_DEADLINE_S),
        )

    @property
    def control_hz(self) -> float:
        ready = self._stream.ready
        return self._asking.rate(None if ready is None else ready["control_hz"])

    def open(self) -> None:
        self._stream.open()

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """`Transport.ask`; an answer to an observation before this one is passed over."""
        ends_s = time.monotonic() + self._asking.target.timeout_s
        sent = self._stream.send_observation(
            state=observation.state,
            images=encoded(observation.cameras, self._asking.target) or None,
            executed_steps=executed_steps,
            instruction=self._asking.instruction_of(observation),
        )
        answer = self._answer_to(sent, ends_s)
        return self._asking.dated(seq, observation, answer["actions"], answer, self.control_hz)

    def close(self) -> None:
        self._stream.close()

    def _answer_to(self, sent: int, ends_s: float) -> dict[str, Any]:
        while True:
            try:
                answer = self._stream.recv_action(max(LEAST_S, ends_s - time.monotonic()))
            except ServiceError as exc:
                if exc.status in ENDS or exc.context.get("seq", sent) == sent:
                    raise
            else:
                if answer["seq"] == sent:
                    return answer
