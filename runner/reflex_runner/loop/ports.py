"""What a run needs of others: a policy that answers, cameras, and somebody who may forbid it to go on."""

from __future__ import annotations

from typing import Protocol

from reflex.connector import CameraFrame, Observation
from reflex_runner.tick import DatedChunk

__all__ = ["Camera", "Permit", "Transport"]


class Transport(Protocol):
    """A way to the policy. Used by one thread, but for `close`, which may come while `ask` waits."""

    def open(self) -> None:
        """Connect; errors as those of `ask`."""
        ...

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """The policy's answer, in bounded time. `TransportError` or `ServiceError` when none came."""
        ...

    def close(self) -> None:
        """End it; whoever waits in `ask` gets an error."""
        ...


class Camera(Protocol):
    """Takes pictures in a thread of its own."""

    def start(self) -> None:
        """Begin to take pictures."""
        ...

    def latest(self) -> CameraFrame | None:
        """The newest one, at once."""
        ...

    def stop(self) -> None:
        """Take no more; also after a `start` that failed."""
        ...


class Permit(Protocol):
    """Asked in every period by the control loop: must answer at once, from what it knows already."""

    def refusal(self, now: float) -> str | None:
        """Why nothing more may be applied: the session has ended, is dry_run, or nobody has renewed it. None: go on."""
        ...
