"""A server in a few lines, for tests of programs that use a client. It serves both clients and opens no socket.

    transport = MockTransport([service_error("warming_up", "one moment", retry_after_s=0.01), chunk([[0.0] * 7])])
    client = ReflexClient(transport=transport)

An answer is an object (sent as a 200), a `ServiceError` (sent as its envelope), or a `TransportError` (raised: the
connection breaks, or for `ClientTimeoutError` the deadline passes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import httpx

from reflex.errors import ClientTimeoutError, ServiceError, TransportError
from reflex.wire import RETRY_AFTER_HEADER, ActResult, error_envelope, retry_after_header

__all__ = ["MockAnswer", "MockTransport", "chunk"]

MockAnswer = Mapping[str, Any] | ServiceError | TransportError


class MockTransport(httpx.MockTransport):
    """Answers with `script`: a function of the request, or answers in order, of which the last one repeats.

    `requests` keeps what was sent: `json.loads(transport.requests[0].content)` is a body.
    """

    def __init__(self, script: Callable[[httpx.Request], MockAnswer] | Iterable[MockAnswer]) -> None:
        super().__init__(self._answer)
        self._script = script if callable(script) else _in_order(list(script))
        self.requests: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._script(request)
        if isinstance(answer, ClientTimeoutError):
            raise httpx.ReadTimeout(str(answer), request=request)
        if isinstance(answer, TransportError):
            raise httpx.ReadError(str(answer), request=request)
        if isinstance(answer, ServiceError):
            return _error_response(answer, request)
        return httpx.Response(200, json=dict(answer))


def chunk(actions: Sequence[Sequence[float]], **fields: object) -> ActResult:
    """A 200 of `/act` with `actions` [num_actions][action_dim]; `fields` replace the rest."""
    rows = [[float(value) for value in row] for row in actions]
    answer: dict[str, object] = {
        "actions": rows,
        "num_actions": len(rows),
        "action_dim": len(rows[0]),
        "latency_ms": 20.0,
        "hz": 50.0,
        "denoising_steps": 10,
        "inference_mode": "onnx_cpu",
        "guard_clamped": False,
        "guard_violations": [],
    }
    return cast("ActResult", {**answer, **fields})


def _in_order(answers: list[MockAnswer]) -> Callable[[httpx.Request], MockAnswer]:
    if not answers:
        raise ValueError("a MockTransport needs at least one answer")
    return lambda _request: answers.pop(0) if len(answers) > 1 else answers[0]


def _error_response(error: ServiceError, request: httpx.Request) -> httpx.Response:
    headers = {} if error.retry_after_s is None else {RETRY_AFTER_HEADER: retry_after_header(error.retry_after_s)}
    sent = json.loads(request.content or b"{}")
    return httpx.Response(error.status, json=error_envelope(error, sent.get("request_id")), headers=headers)
