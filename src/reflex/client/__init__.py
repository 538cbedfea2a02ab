"""Ask a Reflex server for actions.

    from reflex.client import ReflexClient

    with ReflexClient("http://localhost:8000") as client:
        with client.episode(instruction="pick up the red cup") as episode:
            result = episode.act(image=numpy_frame, state=[0.1, 0.2, 0.0, 0.0, 0.0, 0.0])
            print(result["actions"])

`AsyncReflexClient` is the same with `await`. `ActionStream` and `AsyncActionStream` send observations over one
connection and get chunks as they come (extra `stream`). Errors are in `reflex.errors`. `MockTransport` and `chunk` are
for your tests.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflex.client.aio import AsyncEpisode, AsyncReflexClient
    from reflex.client.blocking import Episode, ReflexClient
    from reflex.client.deadline_transport import DeadlineTransport
    from reflex.client.images import ImageInput
    from reflex.client.mock import MockAnswer, MockTransport, chunk
    from reflex.client.streaming.aio import AsyncActionStream
    from reflex.client.streaming.blocking import ActionStream
    from reflex.client.streaming.errors import RecvTimeoutError, StreamKeyError, StreamRateError, StreamUrlError
    from reflex.wire import ActResult, GuardViolation, HealthReport, Timing

__all__ = [
    "ActResult",
    "ActionStream",
    "AsyncActionStream",
    "AsyncEpisode",
    "AsyncReflexClient",
    "DeadlineTransport",
    "Episode",
    "GuardViolation",
    "HealthReport",
    "ImageInput",
    "MockAnswer",
    "MockTransport",
    "RecvTimeoutError",
    "ReflexClient",
    "StreamKeyError",
    "StreamRateError",
    "StreamUrlError",
    "Timing",
    "chunk",
]

_HOMES = {
    "ActResult": "reflex.wire",
    "ActionStream": "reflex.client.streaming.blocking",
    "AsyncActionStream": "reflex.client.streaming.aio",
    "AsyncEpisode": "reflex.client.aio",
    "AsyncReflexClient": "reflex.client.aio",
    "DeadlineTransport": "reflex.client.deadline_transport",
    "Episode": "reflex.client.blocking",
    "GuardViolation": "reflex.wire",
    "HealthReport": "reflex.wire",
    "ImageInput": "reflex.client.images",
    "MockAnswer": "reflex.client.mock",
    "MockTransport": "reflex.client.mock",
    "RecvTimeoutError": "reflex.client.streaming.errors",
    "ReflexClient": "reflex.client.blocking",
    "StreamKeyError": "reflex.client.streaming.errors",
    "StreamRateError": "reflex.client.streaming.errors",
    "StreamUrlError": "reflex.client.streaming.errors",
    "Timing": "reflex.wire",
    "chunk": "reflex.client.mock",
}
"""Where each lies: who asks the control plane shares the connection, and needs neither numpy nor Pillow."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
