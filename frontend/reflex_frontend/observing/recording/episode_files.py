"""Which episodes get a file of their own: a client may invent as many as it sends requests."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final

__all__ = ["NewEpisodes"]

WINDOW_S: Final = 60.0
MAX_SHARING: Final = 4_096
"""Episodes remembered to be in their hour's file; one that is forgotten may get its own after all."""

log = logging.getLogger("reflex.record")


class NewEpisodes:
    """Lets `per_minute` new files begin in a minute; an episode that came too late for one stays without it."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._window_began_at = float("-inf")
        self._begun = 0
        self._sharing: OrderedDict[str, None] = OrderedDict()

    def may_begin(self, stem: str, now: float) -> bool:
        """Whether the episode, which has no file, gets one; `now` is Unix seconds, and may be set back."""
        if stem in self._sharing:
            self._sharing.move_to_end(stem)
            return False
        if not 0 <= now - self._window_began_at < WINDOW_S:
            self._window_began_at, self._begun = now, 0
        self._begun += 1
        if self._begun <= self._per_minute:
            return True
        self._share(stem)
        return False

    def _share(self, stem: str) -> None:
        if self._begun == self._per_minute + 1:
            log.warning("many new episodes: more share their hour's file", extra={"files_a_minute": self._per_minute})
        self._sharing[stem] = None
        if len(self._sharing) > MAX_SHARING:
            self._sharing.popitem(last=False)
