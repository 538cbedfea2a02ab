"""`act`: one HTTP request for each chunk."""

from __future__ import annotations

import base64
import json
import math
import time
from typing import Any, Final

import httpx

from reflex.client.acting import finite_state, new_id
from reflex.client.call import CONFIG_CALL, Answer, Call, CallPlan
from reflex.client.connection import Connection
from reflex.client.embodiment import embodiment_of
from reflex.client.http import checked_url
from reflex.connector import Observation
from reflex.errors import InvalidRequestError, ServiceError, TransportError
from reflex.wire import parse_act_result, parse_object
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.pictures import encoded
from reflex_runner.transports.transport import Asking

__all__ = ["ActTransport"]

PAUSE_S: Final = 0.2
"""Between two looks whether a server that starts is there."""
MOST_ANSWER_BYTES: Final = 1 << 20
"""A hundred actions have some ten thousand. Reading JSON keeps Python from the thread that moves the robot."""


class ActTransport:
    """`POST /act` of a Reflex server, or of one that answers like it; `network` replaces sockets in tests."""

    def __init__(self, asking: Asking, network: httpx.BaseTransport | None = None) -> None:
        self._asking = asking
        self._target = asking.target
        self._connection = Connection(checked_url(asking.url), api_key=asking.api_key, transport=network)
        self._control_hz: float | None = None
        self.patience_s = math.inf
        """`Patient.patience_s`."""

    @property
    def control_hz(self) -> float:
        return self._asking.rate(self._control_hz)

    def open(self) -> None:
        """Ask for `/config` until it is answered. A server that has none is taken as it is."""
        ends_s = time.monotonic() + self._target.connect_timeout_s
        while True:
            try:
                self._control_hz = self._rate_of_config(max(0.05, ends_s - time.monotonic()))
                break
            except (TransportError, ServiceError) as exc:
                if not _may_pass(exc) or time.monotonic() + PAUSE_S >= ends_s:
                    raise
            time.sleep(PAUSE_S)
        self._asking.rate(self._control_hz)

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """`Transport.ask`; a 503 or 429 is waited for where its Retry-After ends in time, and within `patience_s`."""
        request_id = new_id()
        fields = self._body(seq, observation, request_id, executed_steps)
        body = json.dumps(fields, separators=(",", ":"), allow_nan=False)
        call = Call(
            "POST", "/act", body.encode(), episode_id=self._asking.episode_id, max_answer_bytes=MOST_ANSWER_BYTES
        )
        result = parse_act_result(self._answer(call, self._target.timeout_s, self.patience_s).body, request_id)
        return self._asking.dated(seq, observation, result["actions"], result, self.control_hz)

    def close(self) -> None:
        self._connection.close()

    def _body(self, seq: int, observation: Observation, request_id: str, executed_steps: int | None) -> dict[str, Any]:
        target = self._target
        fields: dict[str, Any] = {**target.extra_payload, **self._asking.seeded(seq)}
        fields[target.state_field or "state"] = finite_state(observation.state)
        fields[target.instruction_field or "instruction"] = self._asking.instruction_of(observation)
        fields["episode_id"], fields["request_id"] = self._asking.episode_id, request_id
        if observation.cameras:
            files = encoded(observation.cameras, target)
            fields["images"] = {name: base64.b64encode(data).decode("ascii") for name, data in files.items()}
        if executed_steps is not None:
            fields["executed_steps"] = executed_steps
        return fields

    def _rate_of_config(self, within_s: float) -> float | None:
        try:
            answer = self._answer(CONFIG_CALL, within_s)
        except InvalidRequestError:
            return None  # another server than ours, without such a route
        return embodiment_of(parse_object(answer.body)).control_hz

    def _answer(self, call: Call, within_s: float, patience_s: float = math.inf) -> Answer:
        plan = CallPlan(
            call, started_s=time.monotonic(), deadline_s=within_s, clock=time.monotonic, patience_s=patience_s
        )
        return self._connection.answer(plan)


def _may_pass(error: TransportError | ServiceError) -> bool:
    """Whether a server that starts says so."""
    return not isinstance(error, ServiceError) or error.status in (408, 425, 429) or error.status >= 500
