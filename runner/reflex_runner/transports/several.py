"""`SeveralServers`: a deployment with several frontends, of which the next one is asked when one answers no more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from reflex.connector import Observation
from reflex.errors import ReflexError, ServiceError, TransportError
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.transport import Transport

__all__ = ["SeveralServers"]

PATIENCE_S: Final = 0.3
"""So long a server may fail before the next one is asked: less than a robot holds before it is stopped."""
AGAIN_S: Final = 5.0
"""So long one that could not be had is left alone."""

logger = logging.getLogger("reflex.runner")


class SeveralServers:
    """Begins with the first of `urls`. `made` gives a transport that is not open yet, and begins an episode of its own.

    `is_the_same` says whether the server at an address serves the very policy that the run began with, and raises where
    nobody answers there: no other policy is ever asked.
    """

    def __init__(
        self,
        urls: Sequence[str],
        made: Callable[[str], Transport],
        is_the_same: Callable[[str], bool],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._urls, self._made, self._is_the_same, self._clock = tuple(urls), made, is_the_same, clock
        self._at, self._current = 0, made(urls[0])
        self._failing_since_s: float | None = None
        self._left_alone_s: dict[str, float] = {}
        self._is_new = False

    @property
    def url(self) -> str:
        """Of the server that is asked now."""
        return self._urls[self._at]

    @property
    def control_hz(self) -> float:
        """The current server's."""
        return self._current.control_hz

    def open(self) -> None:
        """`Transport.open`, of the first."""
        self._current.open()

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """`Transport.ask`; a server that is new knows nothing of the chunks before."""
        try:
            chunk = self._current.ask(seq, observation, executed_steps=None if self._is_new else executed_steps)
        except (TransportError, ServiceError) as exc:
            self._note(exc)
            raise
        self._failing_since_s, self._is_new = None, False
        return chunk

    def close(self) -> None:
        """Let go of the server that is asked."""
        self._current.close()

    def _note(self, error: ReflexError) -> None:
        if isinstance(error, ServiceError) and error.status < 500:
            return
        now = self._clock.now()
        since_s = self._failing_since_s = now if self._failing_since_s is None else self._failing_since_s
        if now - since_s >= PATIENCE_S:
            self._move(error)

    def _move(self, error: ReflexError) -> None:
        """To the next that can be had; with none the one that is asked stays."""
        for step in range(1, len(self._urls)):
            at = (self._at + step) % len(self._urls)
            url = self._urls[at]
            if self._clock.now() >= self._left_alone_s.get(url, float("-inf")) and (opened := self._opened(url)):
                logger.warning("%s answers no more (%s): %s is asked from now on", self.url, error, url)
                self._current.close()
                self._at, self._current = at, opened
                self._failing_since_s, self._is_new = None, True
                return

    def _opened(self, url: str) -> Transport | None:
        made: Transport | None = None
        try:
            if not self._is_the_same(url):
                logger.warning("%s serves another policy than the run began with, and is not asked", url)
                self._left_alone_s[url] = float("inf")
                return None
            made = self._made(url)
            made.open()
        except ReflexError as exc:
            self._left_alone_s[url] = self._clock.now() + AGAIN_S
            logger.info("%s cannot be asked either: %s", url, exc)
            if made is not None:
                made.close()
            return None
        return made
