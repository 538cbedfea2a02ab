"""The frames of `WS /act/stream`: observations one way, chunks the other.

A frame is one WebSocket message: msgpack in a binary one, JSON in a text one. What answers a frame comes in its kind;
the very first `ready` answers none and is binary. Annotations are evaluated here, as in `answers`.
"""

from typing import Any, Final, Literal, NotRequired, TypedDict

from reflex.wire.answers import ActBody, ActResult, SlotName

__all__ = [
    "CLOSE_GOING_AWAY",
    "CLOSE_NOT_ALLOWED",
    "CLOSE_TOO_BIG",
    "CLOSE_UNREADABLE",
    "MAX_SEQ",
    "STREAM_PATH",
    "SUPERSEDED",
    "ChunkFrame",
    "ErrorFrame",
    "HelloFrame",
    "ObservationFrame",
    "ReadyFrame",
]

STREAM_PATH: Final = "/act/stream"
SUPERSEDED: Final = "superseded"
"""The error of an observation that a newer one overtook before it was begun."""
MAX_SEQ: Final = 2**63 - 1

CLOSE_GOING_AWAY: Final = 1001
"""The server is being stopped: connect again, to another one if there is one."""
CLOSE_UNREADABLE: Final = 1007
CLOSE_NOT_ALLOWED: Final = 1008
"""The key or session of this stream holds no more; the reason begins with the error's code."""
CLOSE_TOO_BIG: Final = 1009


class HelloFrame(TypedDict):
    """What holds for the observations that come after it and do not say otherwise."""

    type: Literal["hello"]
    episode_id: NotRequired[str]
    instruction: NotRequired[str]
    deadline_ms: NotRequired[float]
    api_key: NotRequired[str]
    """One that stands in for the key with which the stream was opened: a session's credential is renewed."""


class ObservationFrame(ActBody):
    """The body of `/act` with a number; images also as bytes of a JPEG or PNG, or as raw arrays."""

    type: Literal["observation"]
    seq: int
    """Chosen by the client, growing with every observation of a connection; what answers it repeats it."""
    deadline_ms: NotRequired[float]


class _Routed(TypedDict, total=False):
    """What two-policy mode says in headers over HTTP."""

    policy_slot: SlotName
    routing_key: str
    routing_degraded: bool


class ReadyFrame(_Routed):
    """The first frame of a server, and its answer to every `hello`."""

    type: Literal["ready"]
    model_version: str
    embodiment: str
    control_hz: float
    cameras: list[str]
    state_dim: int
    num_actions: int
    action_dim: int
    deadline_ms: float
    """Of an observation that names none."""
    episode_id: NotRequired[str | None]
    """That of the `hello`; absent from the first frame."""
    robot_id: NotRequired[str]


class ChunkFrame(ActResult):
    """The answer to one observation: that of `/act`, with `actions` as a raw float32 array in msgpack."""

    type: Literal["chunk"]
    seq: int
    routing_key: NotRequired[str]


class ErrorFrame(_Routed):
    """Why an observation has no chunk; without `seq` where the frame could not be read that far."""

    type: Literal["error"]
    error: str
    message: str
    status: int
    request_id: str
    seq: NotRequired[int]
    by: NotRequired[int]
    """Of `superseded`: the newer observation."""
    retry_after_s: NotRequired[float]
    model_version: NotRequired[str]
    context: NotRequired[Any]
