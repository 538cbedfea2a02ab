"""`Listening`: a thread that hears of changes of a session as they happen, beside the heartbeats that go on anyway."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from reflex.errors import ReflexError

__all__ = ["Feed", "Listening"]

FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 10.0
"""Between two tries to hear; half of it by chance, so that robots do not come back all at once."""
END_S: Final = 2.0

logger = logging.getLogger(__name__)


class Feed(Protocol):
    """A `reflex.control.event_feed.EventFeed`."""

    @property
    def is_open(self) -> bool: ...

    def events(self) -> Iterator[Mapping[str, Any]]: ...
    def close(self) -> None: ...
    def release(self) -> None: ...


class Listening:
    """`heard` gets each event of the session. Without a feed that can be heard the heartbeats say the same, later."""

    def __init__(self, feed: Feed, session_id: str, heard: Callable[[Mapping[str, Any]], None]) -> None:
        self._feed, self._session_id, self._heard = feed, session_id, heard
        self._ended = threading.Event()
        self._was_told = False
        self._thread = threading.Thread(target=self._go_on, name="reflex-session-events", daemon=True)

    @property
    def is_heard(self) -> bool:
        """Whether the feed is open now."""
        return self._feed.is_open

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def end(self) -> None:
        """Hear no more."""
        self._ended.set()
        self._feed.close()
        if self._thread.ident is not None:
            self._thread.join(END_S)

    def _go_on(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._ended.is_set():
            try:
                for event in self._feed.events():
                    wait_s = FIRST_WAIT_S
                    self._take(event)
                problem = "ended"
            except ReflexError as exc:
                problem = str(exc)
            except Exception as exc:  # noqa: BLE001 - the thread's boundary: the heartbeats go on without it
                problem = f"{type(exc).__name__}: {exc}"
            if not self._ended.is_set():
                self._tell(problem)
                self._ended.wait(wait_s * (0.5 + random.random() / 2))  # noqa: S311 - no secret
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        self._feed.release()

    def _take(self, event: Mapping[str, Any]) -> None:
        if event.get("sessionId") == self._session_id and not self._ended.is_set():
            self._heard(event)

    def _tell(self, problem: str) -> None:
        """Once at a level that is seen: heartbeats are promised, this is faster."""
        level = logging.DEBUG if self._was_told else logging.INFO
        logger.log(level, "events of the control plane are not heard (%s); heartbeats say them later", problem)
        self._was_told = True
