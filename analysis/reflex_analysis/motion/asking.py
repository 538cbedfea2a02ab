"""Asks a real server over HTTP, in a thread: the control loop never waits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np

from reflex.client.acting import new_id
from reflex.client.call import Call, CallPlan
from reflex.client.connection import Connection
from reflex.client.images import encode_image
from reflex.errors import ClientTimeoutError, ServiceError
from reflex.wire import ActResult, parse_act_result
from reflex_analysis.motion.network import Question, Reply
from reflex_analysis.motion.scene import Scene

__all__ = ["HttpServer"]

DEADLINE_S: Final = 5.0
INSTRUCTION: Final = "pick up the red cup"
TIMEOUT: Final = "client_timeout"


@dataclass(frozen=True, slots=True)
class _Asked:
    future: Future[Reply]

    def reply(self) -> Reply | None:
        return self.future.result() if self.future.done() else None


class HttpServer:
    """One episode on the server of `connection`, one question at a time. Use it as a context manager."""

    def __init__(
        self, connection: Connection, scene: Scene, *, seed: int, takes_instruction: bool, now: Callable[[], float]
    ) -> None:
        self._connection, self._scene, self._seed, self._now = connection, scene, seed, now
        self._instruction = INSTRUCTION if takes_instruction else ""
        self._episode_id = new_id()
        self._thread = ThreadPoolExecutor(1, "motion-ask")

    def ask(self, question: Question) -> _Asked:
        """Begin to ask. The reply of a server that is gone raises `TransportError`."""
        return _Asked(self._thread.submit(self._reply, question))

    def answer(self, question: Question) -> ActResult:
        """The server's whole answer; raises `ServiceError` and `TransportError`."""
        body = self._body(question)
        call = Call("POST", "/act", json.dumps(body).encode(), episode_id=self._episode_id)
        plan = CallPlan(call, started_s=time.monotonic(), deadline_s=DEADLINE_S, clock=time.monotonic)
        return parse_act_result(self._connection.answer(plan).body, str(body["request_id"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _body(self, question: Question) -> dict[str, object]:
        pictures = self._scene.pictures(question.positions)
        body: dict[str, object] = {
            "instruction": self._instruction,
            "state": self._scene.state(question.positions),
            "request_id": new_id(),
            "episode_id": self._episode_id,
            "seed": self._seed + question.number,
        }
        if pictures:
            body["images"] = {name: encode_image(image) for name, image in pictures.items()}
        if not question.wants_continuation:
            body["prev_actions"] = []  # else a server with --rtc continues what it has answered to this episode
        if question.executed_steps is not None and question.delay_steps is not None:
            body["executed_steps"] = question.executed_steps
            body["inference_delay_steps"] = question.delay_steps
        return body

    def _reply(self, question: Question) -> Reply:
        try:
            answer = self.answer(question)
        except ServiceError as error:
            return Reply(None, self._now(), refusal=error.code)
        except ClientTimeoutError:
            return Reply(None, self._now(), refusal=TIMEOUT)
        actions = np.array(answer["actions"], dtype=np.float64)
        return Reply(
            actions,
            self._now(),
            server_ms=answer.get("latency_ms", 0.0),
            is_guided=answer.get("rtc_applied"),
            is_corrected=answer.get("a2c2_applied"),
        )
