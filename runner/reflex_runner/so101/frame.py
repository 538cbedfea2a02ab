"""The packets of the bus, as bytes: what is asked, and what servos answer.

    FF FF id length instruction parameters.. checksum      length: of the parameters, and 2
    FF FF id length error       parameters.. checksum      checksum: the inverted sum of all behind FF FF

Numbers of two bytes have the low byte first; signed ones are a magnitude with a bit for the sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "OVERHEAD",
    "Status",
    "from_bytes",
    "ping",
    "read",
    "sync_read",
    "sync_write",
    "take_status",
    "to_bytes",
    "write",
]

HEADER: Final = b"\xff\xff"
BROADCAST: Final = 0xFE
HIGHEST_ID: Final = 0xFC
PING, READ, WRITE, SYNC_READ, SYNC_WRITE = 0x01, 0x02, 0x03, 0x82, 0x83
OVERHEAD: Final = 6
"""Bytes of a packet without parameters."""


@dataclass(frozen=True, slots=True)
class Status:
    """One servo's answer; bits of `error` are the faults that it reports."""

    id: int
    error: int
    params: bytes


def ping(id_: int) -> bytes:
    return _packet(id_, PING, b"")


def read(id_: int, address: int, size: int) -> bytes:
    return _packet(id_, READ, bytes((address, size)))


def write(id_: int, address: int, data: bytes) -> bytes:
    return _packet(id_, WRITE, bytes((address,)) + data)


def sync_read(ids: Sequence[int], address: int, size: int) -> bytes:
    """Each servo answers by itself, one after the other."""
    return _packet(BROADCAST, SYNC_READ, bytes((address, size, *ids)))


def sync_write(address: int, size: int, data: Mapping[int, bytes]) -> bytes:
    """No servo answers."""
    pairs = b"".join(bytes((id_,)) + value for id_, value in data.items())
    return _packet(BROADCAST, SYNC_WRITE, bytes((address, size)) + pairs)


def take_status(buffer: bytearray, size: int) -> Status | None:
    """Take the first whole status with `size` bytes of parameters off the buffer, and whatever is before it.

    None when there is no such yet; what can no longer begin one is gone.
    """
    while len(buffer) >= size + OVERHEAD:
        if _begins_with_status(buffer, size):
            found = Status(buffer[2], buffer[4], bytes(buffer[5 : 5 + size]))
            del buffer[: size + OVERHEAD]
            return found
        del buffer[0]
    return None


def to_bytes(value: int, size: int, sign_bit: int | None = None) -> bytes:
    """`ValueError` for what the register cannot hold."""
    most = (1 << (8 * size if sign_bit is None else sign_bit)) - 1
    if abs(value) > most or (value < 0 and sign_bit is None):
        raise ValueError(f"{value} does not fit a register of {'0' if sign_bit is None else -most} to {most}")
    sign = 1 << sign_bit if value < 0 and sign_bit is not None else 0
    return (abs(value) | sign).to_bytes(size, "little")


def from_bytes(data: bytes, sign_bit: int | None = None) -> int:
    raw = int.from_bytes(data, "little")
    if sign_bit is None:
        return raw
    magnitude = raw & ((1 << sign_bit) - 1)
    return -magnitude if raw >> sign_bit & 1 else magnitude


def _begins_with_status(buffer: bytearray, size: int) -> bool:
    return (
        buffer.startswith(HEADER)
        and buffer[2] <= HIGHEST_ID
        and buffer[3] == size + 2
        and buffer[size + 5] == _checksum(buffer[2 : size + 5])
    )


def _packet(id_: int, instruction: int, params: bytes) -> bytes:
    body = bytes((id_, len(params) + 2, instruction)) + params
    return HEADER + body + bytes((_checksum(body),))


def _checksum(body: bytes | bytearray) -> int:
    return ~sum(body) & 0xFF
