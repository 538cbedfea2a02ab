"""The network between robot and server: an answer arrives later than it was given, and none before an earlier one."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from reflex_analysis.motion.arm import Vector

__all__ = ["Answer", "Network", "Pending", "Question", "Reply", "Server"]


@dataclass(frozen=True, slots=True)
class Question:
    """What the robot asks at one tick of its control loop."""

    number: int
    """From 0; the seed of the policy's noise follows it."""
    tick: int
    positions: Vector
    wants_continuation: bool = False
    """Whether a server that can is to continue the chunk before; else it is told that there is none."""
    executed_steps: int | None = None
    """Of the answer before this one; None before the first, and where the strategy does not tell."""
    delay_steps: int | None = None
    """That will be executed before this answer arrives, as far as the robot can know."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said, and when, on the clock of the control loop."""

    actions: npt.NDArray[np.float64] | None
    """[horizon, axes]; None for a refusal."""
    at_s: float
    server_ms: float = 0.0
    refusal: str | None = None
    is_guided: bool | None = None
    """Whether the chunk was made to continue the one before; None where the server does not say."""
    is_corrected: bool | None = None
    """Whether a correction head changed it; None where the server has none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply with its question, once it has arrived."""

    question: Question
    reply: Reply


class Pending(Protocol):
    """A question under way; `reply` is None until the server has answered, and raises what makes going on useless."""

    def reply(self) -> Reply | None: ...


class Server(Protocol):
    """Takes a question and returns at once."""

    def ask(self, question: Question) -> Pending: ...


class Network:
    """Adds `latency_ms` to each answer, and evenly up to `jitter_ms` more or less, the same for the same seed."""

    def __init__(self, server: Server, *, latency_ms: float, jitter_ms: float, seed: int) -> None:
        self._server = server
        self._latency_s, self._jitter_s = latency_ms / 1000.0, jitter_ms / 1000.0
        self._random = random.Random(seed)  # noqa: S311 - a network that is to be the same again
        self._under_way: deque[tuple[Question, Pending, float]] = deque()

    @property
    def is_asked(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._under_way)

    def send(self, question: Question) -> None:
        """Ask; the answer comes out of `arrived` some time."""
        delay_s = self._latency_s + self._random.uniform(-self._jitter_s, self._jitter_s)
        self._under_way.append((question, self._server.ask(question), max(0.0, delay_s)))

    def arrived(self, now_s: float) -> Answer | None:
        """The next answer that has arrived by now, in the order of the questions; raises what ended the server."""
        if not self._under_way:
            return None
        question, pending, delay_s = self._under_way[0]
        reply = pending.reply()
        if reply is None or now_s < reply.at_s + delay_s:
            return None
        self._under_way.popleft()
        return Answer(question, reply)
