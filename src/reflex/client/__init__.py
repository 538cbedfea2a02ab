"""Ask a Reflex server for actions.

    from reflex.client import ReflexClient

    with ReflexClient("http://localhost:8000") as client:
        with client.episode(instruction="pick up the red cup") as episode:
            result = episode.act(image=numpy_frame, state=[0.1, 0.2, 0.0, 0.0, 0.0, 0.0])
            print(result["actions"])

`AsyncReflexClient` is the same with `await`. Errors are in `reflex.errors`. `MockTransport` and `chunk` are for your
tests.
"""

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
