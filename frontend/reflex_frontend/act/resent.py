"""Answers kept for requests that are sent again.

A client whose connection broke sends the same request with the same request_id; inside its episode it must get the same
answer, and the model must not run twice. The body counts as part of the key: a different observation under an old id is
a new request, because an old chunk is never the answer to a new observation.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

__all__ = ["Body", "Key", "ResentAnswers", "digest_of"]

KEPT_ANSWERS: Final = 1_024
KEPT_S: Final = 30.0

Body = bytes | bytearray | str
Key = tuple[str, str, bytes]
"""Episode, request_id, digest of the body."""
Kept = TypeVar("Kept")


def digest_of(body: Body, instruction: str) -> bytes:
    """16 bytes. Of raw pixels it is a good part of what reading them costs, so only those pay that may be sent again.

    The instruction counts beside the body: on a stream it may have been said before, once for all observations.
    """
    digest = hashlib.blake2b(instruction.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(body.encode() if isinstance(body, str) else body)
    return digest.digest()


@dataclass
class ResentAnswers(Generic[Kept]):
    """Bounded in number and time; an answer that was an error is not kept, so that a retry tries again."""

    now: Callable[[], float]
    _answers: OrderedDict[Key, tuple[float, asyncio.Future[Kept]]] = field(default_factory=OrderedDict)

    def find(self, key: Key) -> asyncio.Future[Kept] | None:
        """The answer, or the one still being made; never one that has failed, also not before that is dropped."""
        kept = self._answers.get(key)
        if kept is None or self.now() - kept[0] > KEPT_S or _has_failed(kept[1]):
            return None
        return kept[1]

    def begin(self, key: Key) -> asyncio.Future[Kept]:
        """Announce that this request is being answered; set the future's result or exception."""
        answer: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._answers[key] = (self.now(), answer)
        self._answers.move_to_end(key)
        self._forget_old()
        answer.add_done_callback(lambda done: self._drop_failed(key, done))
        return answer

    def _drop_failed(self, key: Key, done: asyncio.Future[Kept]) -> None:
        if _has_failed(done):
            kept = self._answers.get(key)
            if kept is not None and kept[1] is done:
                del self._answers[key]

    def _forget_old(self) -> None:
        oldest_kept = self.now() - KEPT_S
        while self._answers:
            began, _ = next(iter(self._answers.values()))
            if len(self._answers) <= KEPT_ANSWERS and began >= oldest_kept:
                return
            self._answers.popitem(last=False)


def _has_failed(answer: asyncio.Future[Kept]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)
