"""What the connections of one server share: how long they may take, and what may be answered unread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from reflex.serving.bounded_connection import Bounds

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits(Bounds):
    """Of one server of policies."""

    refusal: Callable[[], bytes | None]
    """The whole answer to an /act whose body is not worth reading, or None."""
    count_answer: Callable[[int], None]
    act_headers: Callable[[], Mapping[str, str]] = dict
    """What every answer of /act carries, also when the request was never whole."""
    is_draining: Callable[[], bool] = bool
    """Whether this server is on its way out, so that clients had better connect elsewhere."""
    streams: Collection[bytes] = ()
    """The paths on which a connection may go on as a WebSocket."""
