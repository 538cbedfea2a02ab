"""How much that takes long goes on at once: each holds one of the threads that answer requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reflex.errors import service_error

__all__ = ["Places"]

RETRY_S: Final = 2.0


class Places:
    """So many in all, and of one organisation. For threads."""

    def __init__(self, most: int, most_of_one: int, refusal: str) -> None:
        self._most, self._most_of_one, self._refusal = most, most_of_one, refusal
        self._taken: Counter[str] = Counter()
        self._alone = threading.Lock()

    @contextmanager
    def taken(self, organisation_id: str) -> Iterator[None]:
        """`ServiceError` 429 when there is none; nobody waits for one, for that would hold a thread as well."""
        with self._alone:
            if self._taken.total() >= self._most or self._taken[organisation_id] >= self._most_of_one:
                raise service_error("rate_limited", self._refusal, retry_after_s=RETRY_S)
            self._taken[organisation_id] += 1
        try:
            yield
        finally:
            with self._alone:
                self._taken[organisation_id] -= 1
                self._taken += Counter()  # forgets who has none
