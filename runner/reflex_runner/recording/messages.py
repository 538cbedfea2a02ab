"""How a run's process speaks to the one that writes its recording: a line of JSON, and the bytes of arrays after it.

Nothing is unpickled, and no picture is copied on its way into the socket. A socket leaves nothing behind, whoever of
the two is killed; and each hears of the other's end through it.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

__all__ = ["Content", "Words", "receive", "send"]

Words = Mapping[str, Any]
Content = bytes | bytearray | memoryview
LENGTH: Final = struct.Struct("!I")
SHORT_BYTES: Final = 4096
"""Of contents that go with their words in one piece; longer ones are pictures."""


def send(line: socket.socket, words: Words, contents: Sequence[Content] = ()) -> None:
    """Wait until the other side has taken all of it; `OSError` when it is gone."""
    told = json.dumps({**words, "sizes": [len(each) for each in contents]}, default=_plain).encode()
    short = sum(len(each) for each in contents) <= SHORT_BYTES
    line.sendall(b"".join([LENGTH.pack(len(told)), told, *(contents if short else ())]))
    for content in () if short else contents:
        line.sendall(content)


def receive(line: socket.socket) -> tuple[dict[str, Any], list[bytearray]]:
    """The next message; `EOFError` when the other side is gone, in the midst of one as well."""
    (length,) = LENGTH.unpack(_exactly(line, LENGTH.size))
    words = json.loads(_exactly(line, length))
    return words, [_exactly(line, size) for size in words.pop("sizes")]


def _exactly(line: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        received = line.recv_into(rest, len(rest), socket.MSG_WAITALL)
        if not received:
            raise EOFError("the run has ended")
        rest = rest[received:]
    return content


def _plain(value: object) -> object:
    """A number of numpy's is a number; what JSON does not know is told as text."""
    return value.item() if isinstance(value, np.generic) else str(value)
