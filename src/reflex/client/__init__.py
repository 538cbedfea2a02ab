"""Ask a Reflex server for actions.

    from reflex.client import ReflexClient

    with ReflexClient("http://localhost:8000") as client:
        with client.episode(instruction="pick up the red cup") as episode:
            result = episode.act(image=numpy_frame, state=[0.1, 0.2, 0.0, 0.0, 0.0, 0.0])
            print(result["actions"])

`AsyncReflexClient` is the same with `await`. Errors are in `reflex.errors`. `MockTransport` and `chunk` are for your
tests.
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
    from reflex.wire import ActResult, GuardViolation, HealthReport, Timing

__all__ = [
    "ActResult",
    "AsyncEpisode",
    "AsyncReflexClient",
    "DeadlineTransport",
    "Episode",
    "GuardViolation",
    "HealthReport",
    "ImageInput",
    "MockAnswer",
    "MockTransport",
    "ReflexClient",
    "Timing",
    "chunk",
]

_HOMES = {
    "ActResult": "reflex.wire",
    "AsyncEpisode": "reflex.client.aio",
    "AsyncReflexClient": "reflex.client.aio",
    "DeadlineTransport": "reflex.client.deadline_transport",
    "Episode": "reflex.client.blocking",
    "GuardViolation": "reflex.wire",
    "HealthReport": "reflex.wire",
    "ImageInput": "reflex.client.images",
    "MockAnswer": "reflex.client.mock",
    "MockTransport": "reflex.client.mock",
    "ReflexClient": "reflex.client.blocking",
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
