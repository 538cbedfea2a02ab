"""`SeveralServers`: a deployment with several frontends, of which the next one is asked when one answers no more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from reflex.connector import Observation
from reflex.errors import ReflexError, ServiceError, TransportError, service_error
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.transport import Patient, Transport

__all__ = ["SeveralServers"]

PATIENCE_S: Final = 0.3
"""So long a server may fail before the next one is asked: less than a robot holds before it is stopped.

One that says by Retry-After that it will be so long is left at once.
"""
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
        self._at, self._current = 0, self._impatient(urls[0])
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
        """`Transport.ask`; a server that is new knows nothing of the chunks before.

        What is raised when another one is asked from now on has no `retry_after_s`: that was of the one that is left.
        """
        try:
            chunk = self._current.ask(seq, observation, executed_steps=None if self._is_new else executed_steps)
        except (TransportError, ServiceError) as exc:
            if self._note(exc) and isinstance(exc, ServiceError):
                raise _without_wait(exc, self.url) from exc
            raise
        self._failing_since_s, self._is_new = None, False
        return chunk

    def close(self) -> None:
        """Let go of the server that is asked."""
        self._current.close()

    def _impatient(self, url: str) -> Transport:
        """Not open yet; a refusal that takes long is told, where there are others to ask."""
        transport = self._made(url)
        if isinstance(transport, Patient) and len(self._urls) > 1:
            transport.patience_s = PATIENCE_S
        return transport

    def _note(self, error: ReflexError) -> bool:
        """Whether another one is asked from now on."""
        if isinstance(error, ServiceError) and error.status < 500:
            return False
        now = self._clock.now()
        since_s = self._failing_since_s = now if self._failing_since_s is None else self._failing_since_s
        return max(now - since_s, _wait_s(error)) >= PATIENCE_S and self._has_moved(error)

    def _has_moved(self, error: ReflexError) -> bool:
        """To the next that can be had; with none the one that is asked stays."""
        for step in range(1, len(self._urls)):
            at = (self._at + step) % len(self._urls)
            url = self._urls[at]
            if self._clock.now() >= self._left_alone_s.get(url, float("-inf")) and (opened := self._opened(url)):
                logger.warning("%s answers no more (%s): %s is asked from now on", self.url, error, url)
                self._current.close()
                self._left_alone_s[self.url] = self._clock.now() + min(_wait_s(error), AGAIN_S)
                self._at, self._current = at, opened
                self._failing_since_s, self._is_new = None, True
                return True
        return False

    def _opened(self, url: str) -> Transport | None:
        made: Transport | None = None
        try:
            if not self._is_the_same(url):
                logger.warning("%s serves another policy than the run began with, and is not asked", url)
                self._left_alone_s[url] = float("inf")
                return None
            made = self._impatient(url)
            made.open()
        except ReflexError as exc:
            self._left_alone_s[url] = self._clock.now() + AGAIN_S
            logger.info("%s cannot be asked either: %s", url, exc)
            if made is not None:
                made.close()
            return None
        return made


def _wait_s(error: ReflexError) -> float:
    return (error.retry_after_s or 0.0) if isinstance(error, ServiceError) else 0.0


def _without_wait(error: ServiceError, url: str) -> ServiceError:
    return service_error(
        error.code, f"{error.message}; {url} is asked from now on", status=error.status, request_id=error.request_id,
        context=error.context,
    )  # fmt: skip
