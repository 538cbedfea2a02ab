"""The refusal of a full instance, ready to be written. In an overload it is most of what the event loop does."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import ServiceError
from reflex_frontend.act.answer import whole_response

__all__ = ["QuickRefusal"]

FRESH_S: Final = 0.02
"""The time to wait that a refusal tells may be this old."""
PLACEHOLDER: Final = "ffffffff-ffff-4fff-8fff-ffffffffffff"


def _request_ids() -> Iterator[bytes]:
    """UUIDs (version 4 by their looks) at a fifth of the cost: random for the process, counted within it."""
    random = secrets.token_hex(9)
    prefix = f"{random[:8]}-{random[8:12]}-4{random[12:15]}-8{random[15:18]}-"
    return (f"{prefix}{number:012x}".encode() for number in itertools.count())


@dataclass
class QuickRefusal:
    """Renders `error()` at most every `FRESH_S`; each refusal then gets a request_id of its own."""

    is_full: Callable[[], bool]
    error: Callable[[], ServiceError]
    now: Callable[[], float]
    headers: Callable[[], Mapping[str, str]] = dict
    """Further headers of the answer."""
    _ids: Iterator[bytes] = field(default_factory=_request_ids)
    _made_at: float = float("-inf")
    _before: bytes = b""
    _after: bytes = b""

    def __call__(self) -> bytes | None:
        """The whole HTTP answer, or None while there is room."""
        if not self.is_full():
            return None
        if self.now() - self._made_at > FRESH_S:
            self._render()
        return b"".join((self._before, next(self._ids), self._after))

    def _render(self) -> None:
        error = self.error()
        error.request_id = PLACEHOLDER
        self._before, _, self._after = whole_response(error, close=False, more=self.headers()).partition(
            PLACEHOLDER.encode()
        )
        self._made_at = self.now()
