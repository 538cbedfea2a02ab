"""How two processes speak of a simulated arm: a length, a line of JSON, and the bytes of arrays after it.

Light on purpose: the watchdog, which stops the arm when its runner is gone, loads nothing but this.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["Spoken", "call", "connect", "hear", "speak", "stop_arm"]

Spoken = tuple[dict[str, Any], bytes]

LENGTH: Final = struct.Struct("!I")
MOST_BYTES: Final = 64 * 1024 * 1024
ANSWER_S: Final = 5.0


def connect(address: str) -> socket.socket:
    """To the arm that listens at that path."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(ANSWER_S)
    try:
        line.connect(address)
    except OSError:
        line.close()
        raise
    return line


def speak(line: socket.socket, words: Mapping[str, Any], content: bytes = b"") -> None:
    """Send one message."""
    told = json.dumps(words, separators=(",", ":")).encode() + b"\n" + content
    line.sendall(LENGTH.pack(len(told)) + told)


def hear(line: socket.socket) -> Spoken:
    """The next message; `EOFError` when the other has gone, `OSError` when it says nothing in time."""
    (length,) = LENGTH.unpack(_exactly(line, LENGTH.size))
    if length > MOST_BYTES:
        raise OSError(f"a message of {length} bytes is none of a simulated arm")
    words, _, content = _exactly(line, length).partition(b"\n")
    return json.loads(words), content


def call(line: socket.socket, words: Mapping[str, Any]) -> Spoken:
    """Ask, and hear the answer."""
    speak(line, words)
    return hear(line)


def stop_arm(rung: str, address: str) -> None:
    """Have the arm hold where it is, from another process than its runner's; the arm can do no other rung."""
    if rung != "hold":
        raise ValueError(f"a simulated arm cannot {rung}")
    with connect(address) as line:
        call(line, {"do": "hold"})


def _exactly(line: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = line.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side has gone")
        parts += part
    return bytes(parts)
