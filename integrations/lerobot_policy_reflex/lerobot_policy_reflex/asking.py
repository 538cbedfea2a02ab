"""Asks a server for the chunks of a batch: one request a row, each row an episode of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lerobot_policy_reflex.observing import STATE, Sending, chunk_of, left_over_rows, observed
from reflex.client import Episode
from reflex.wire import ActResult

__all__ = ["Asker", "Server"]

Array = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


class Server(Protocol):
    """What is asked: a `reflex.client.ReflexClient`."""

    def episode(self) -> Episode: ...


class Asker:
    """Asks `server`; `begin` starts new episodes. One thread asks, another may begin anew."""

    def __init__(self, server: Server, sending: Sending, *, action_dim: int, seed: int | None = None) -> None:
        self._server = server
        self._sending = sending
        self._action_dim = action_dim
        self._seed = seed
        self._asked = 0
        self._episodes: list[Episode] = []
        self._told: set[str] = set()

    def begin(self) -> None:
        """What is asked from now on belongs to new episodes."""
        self._episodes = []

    def chunk(
        self,
        batch: Mapping[str, Any],
        *,
        left_over: npt.NDArray[np.floating[Any]] | None = None,
        delay_steps: int = 0,
    ) -> Array:
        """[rows, steps, axes] in robot units, for arrays [rows, ...]; raises what the client raises.

        `left_over` ([steps, axes], or a row of the batch each) was still to be executed when the batch was observed,
        and `delay_steps` of it will be before the chunk is here.
        """
        episodes = self._episodes_of(len(batch[STATE]) if STATE in batch else 1)
        chunks = []
        for row, episode in enumerate(episodes):
            left = left_over_rows(left_over, row)
            result = self._ask(episode, observed(batch, row, self._sending), left, delay_steps)
            chunks.append(chunk_of(result, self._action_dim))
            self._tell_of_what_was_not_continued(result, left)
        return np.stack([chunk[: min(map(len, chunks))] for chunk in chunks])

    def _ask(
        self, episode: Episode, observation: dict[str, Any], left: list[list[float]], delay_steps: int
    ) -> ActResult:
        """Without a left-over it says so: the server's own idea of it knows nothing of a robot that stood still."""
        seed = None if self._seed is None else self._seed + self._asked
        self._asked += 1
        delay = min(delay_steps, len(left))
        return episode.act(**observation, seed=seed, prev_actions=left, inference_delay_steps=delay)

    def _episodes_of(self, rows: int) -> list[Episode]:
        episodes = self._episodes
        if len(episodes) != rows:
            episodes = self._episodes = [self._server.episode() for _ in range(rows)]
        return episodes

    def _tell_of_what_was_not_continued(self, result: ActResult, left: list[list[float]]) -> None:
        """Once for each reason."""
        if not left or result.get("rtc_applied"):
            return
        reason = str(result.get("rtc_reason") or "it was started without --rtc")
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("the server did not continue the chunk that is being executed: %s", reason)
