"""What is wrong with bytes that are no HTTP, in a sentence for their sender and, now and then, in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["BrokenLog", "what_is_wrong"]

TLS_RECORD: Final = b"\x16"
LOG_EVERY_S: Final = 1.0
ONE_LENGTH: Final = "send either Content-Length or Transfer-Encoding, not both"
NO_HTTP: Final = "send a request that begins with a method of HTTP, like GET /health HTTP/1.1"
BAD_CHUNK: Final = "a chunk's size is wrong; send the body with Content-Length"
BAD_LENGTH: Final = "send Content-Length as a whole number of bytes"
HEADER_LINE: Final = "send each header as a line `Name: value`"
NO_PATH: Final = "ask for a path that begins with /, like /health"
NO_PLAIN_PATH: Final = "write what is no plain character in the path as %XX"
CODINGS: Final = "send the body with Content-Length, or chunked"
LINE_ENDS: Final = "end every line with CR and LF"

SENTENCES: Final[Mapping[str, str]] = {
    "Duplicate Content-Length": "there is more than one Content-Length; send it once",
    "Transfer-Encoding can't be present with Content-Length": ONE_LENGTH,
    "Content-Length can't be present with Transfer-Encoding": ONE_LENGTH,
    "Request has invalid `Transfer-Encoding`": CODINGS,
    "Invalid header value char": "a header's value has a control character in it; leave that out",
    "Invalid header token": HEADER_LINE,
    "Invalid header field char": HEADER_LINE,
    "Invalid characters in url": NO_PATH,
    "Unexpected char in url schema": NO_PATH,
    "Invalid character in chunk size": BAD_CHUNK,
    "Expected LF after chunk data": BAD_CHUNK,
    "Expected LF after chunk size": BAD_CHUNK,
    "Missing expected CR after chunk data": BAD_CHUNK,
    "Missing expected CR after chunk size": BAD_CHUNK,
    "Chunk size overflow": BAD_CHUNK,
    "Invalid character in Content-Length": BAD_LENGTH,
    "Empty Content-Length": BAD_LENGTH,
    "Empty Transfer-Encoding": CODINGS,
    "Invalid `Transfer-Encoding` header value": CODINGS,
    "Content-Length overflow": BAD_LENGTH,
    "Invalid HTTP version": "send the request as HTTP/1.1",
    "Pause on PRI/Upgrade": "send the request as HTTP/1.1, not as HTTP/2",
    "Expected HTTP/, RTSP/ or ICE/": "end the first line with HTTP/1.1, and write a space in the path as %20",
    "Invalid method encountered": NO_HTTP,
    "Invalid method for HTTP/x.x request": NO_HTTP,
    "Expected space after method": NO_HTTP,
    "Invalid char in url path": NO_PLAIN_PATH,
    "Invalid char in url query": NO_PLAIN_PATH,
    "Expected CRLF after version": LINE_ENDS,
    "Expected LF after headers": LINE_ENDS,
    "Missing expected CR after header value": LINE_ENDS,
    "Missing expected LF after header value": LINE_ENDS,
    "Unexpected whitespace after header value": "write each header in one line",
}
"""By what the parser says."""

log = logging.getLogger("reflex.http")


def what_is_wrong(found: str, piece: bytes) -> str:
    """The sentence for what the parser `found` in `piece`; its own words where there is none."""
    if found == "Invalid method encountered" and piece.startswith(TLS_RECORD):
        return "this port speaks plain http, and TLS came; ask with http in place of https, or put a proxy before it"
    return SENTENCES.get(found, f"this is no HTTP/1.1: {found}")


@dataclass
class BrokenLog:
    """At most a line each second, whatever comes: nobody may fill the log of a robot's computer."""

    now: Callable[[], float] = time.monotonic
    _said_at: float = float("-inf")
    _unsaid: int = 0

    def note(self, problem: str) -> None:
        """One more request was refused for `problem`."""
        if self.now() - self._said_at < LOG_EVERY_S:
            self._unsaid += 1
            return
        log.warning("refused what is no HTTP: %s", problem, extra={"not_told_since": self._unsaid})
        self._said_at, self._unsaid = self.now(), 0
