"""msgpack (msgpack.org) as both ends of the wire write and read it.

What is read is untrusted: how much is made of it is bounded by `MAX_ITEMS` and `MAX_DEPTH` before it is made, whatever
lengths it claims. Extension types are refused; nothing is ever unpickled. Pixels and actions travel as one item each.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "pack", "unpack"]

MAX_ITEMS: Final = 2_500
"""Of values and keys together: a chunk of 50 x 32 numbers in lists and an observation beside it; read in 1 to 2 ms."""
MAX_DEPTH: Final = 16

NIL, FALSE, TRUE = 0xC0, 0xC2, 0xC3
CONSTANTS: Final[Mapping[int, bool | None]] = {NIL: None, FALSE: False, TRUE: True}
NUMBERS: Final = {
    code: struct.Struct(f">{kind}")
    for code, kind in zip((0xCA, 0xCB, *range(0xCC, 0xD4)), ("f", "d", *"BHIQ", *"bhiq"), strict=True)
}
BINARIES: Final = {0xC4: struct.Struct(">B"), 0xC5: struct.Struct(">H"), 0xC6: struct.Struct(">I")}
TEXTS: Final = {0xD9: struct.Struct(">B"), 0xDA: struct.Struct(">H"), 0xDB: struct.Struct(">I")}
ARRAYS: Final = {0xDC: struct.Struct(">H"), 0xDD: struct.Struct(">I")}
MAPS: Final = {0xDE: struct.Struct(">H"), 0xDF: struct.Struct(">I")}
UNSIGNED: Final = ((8, 0xCC), (16, 0xCD), (32, 0xCE), (64, 0xCF))
SIGNED: Final = ((8, 0xD0), (16, 0xD1), (32, 0xD2), (64, 0xD3))
MAP_SHORT, LIST_SHORT, TEXT_SHORT, NEGATIVE = 0x80, 0x90, 0xA0, 0xE0
ENDS: Final = "the msgpack ends in the middle of a value"
TOO_MANY: Final = f"msgpack may hold {MAX_ITEMS} values; send images and long arrays as one array each"


def unpack(data: bytes | bytearray) -> Any:  # noqa: ANN401 - whatever was written
    """The one value that `data` is: None, bool, int, float, str, bytes, list or dict, whose keys are str or bytes.

    Raises `ValueError` with a sentence for its sender.
    """
    reader = _Reader(bytes(data))
    value = reader.value(MAX_DEPTH)
    if reader.at != len(reader.data):
        raise ValueError("there is more than one msgpack value")
    return value


def pack(value: object) -> bytes:
    """The shortest form of a value of the types that `unpack` gives, tuples and other mappings too."""
    written = bytearray()
    _write(value, written)
    return bytes(written)


class _Reader:
    """Bytes, read from the front. Invariant: every length is held against what is left before anything is made.

    Each value costs a call, so what it must do is written out here: this runs on the event loop.
    """

    __slots__ = ("at", "data", "items_left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.items_left = MAX_ITEMS

    def value(self, depth: int) -> Any:  # noqa: ANN401 - whatever was written
        at = self.at
        if at >= len(self.data):
            raise ValueError(ENDS)
        self.items_left -= 1
        if self.items_left < 0:
            raise ValueError(TOO_MANY)
        self.at = at + 1
        code = self.data[at]
        if code < MAP_SHORT:
            return code
        if code >= NEGATIVE:
            return code - 0x100
        if TEXT_SHORT <= code < NIL:
            return self._text(code & 0x1F)
        if code in NUMBERS:
            return self._number(NUMBERS[code])
        return self._larger(code, depth)

    def _larger(self, code: int, depth: int) -> Any:  # noqa: ANN401 - whatever was written
        if code < LIST_SHORT:
            return self._map(code & 0x0F, depth)
        if code < TEXT_SHORT:
            return self._list(code & 0x0F, depth)
        if code in CONSTANTS:
            return CONSTANTS[code]
        kinds = next((kinds for kinds in (BINARIES, TEXTS, ARRAYS, MAPS) if code in kinds), None)
        if kinds is None:
            raise ValueError("msgpack's extension types are not taken; send arrays as maps of dtype, shape and data")
        size = self._number(kinds[code])
        if kinds is BINARIES:
            return self._take(size)
        if kinds is TEXTS:
            return self._text(size)
        return self._list(size, depth) if kinds is ARRAYS else self._map(size, depth)

    def _number(self, kind: struct.Struct) -> Any:  # noqa: ANN401 - int or float
        at = self.at
        self.at = at + kind.size
        if self.at > len(self.data):
            raise ValueError(ENDS)
        return kind.unpack_from(self.data, at)[0]

    def _take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise ValueError(ENDS)
        return self.data[start : self.at]

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise ValueError("text in msgpack must be UTF-8; send bytes as its type bin") from None

    def _list(self, length: int, depth: int) -> list[Any]:
        self._enter(length, depth)
        value, inner = self.value, depth - 1
        return [value(inner) for _ in range(length)]

    def _map(self, length: int, depth: int) -> dict[str | bytes, Any]:
        self._enter(2 * length, depth)
        value, inner = self.value, depth - 1
        return {self._key(): value(inner) for _ in range(length)}

    def _key(self) -> str | bytes:
        key = self.value(0)
        if type(key) is not str and type(key) is not bytes:
            raise ValueError("the keys of a msgpack map must be text")
        return key

    def _enter(self, items: int, depth: int) -> None:
        if depth <= 0:
            raise ValueError(f"msgpack may be nested {MAX_DEPTH} deep")
        if items > len(self.data) - self.at:
            raise ValueError(ENDS)
        if items > self.items_left:
            raise ValueError(TOO_MANY)


def _write(value: object, to: bytearray) -> None:
    if value is None or isinstance(value, bool):
        to.append(NIL if value is None else TRUE if value else FALSE)
    elif isinstance(value, int):
        _write_integer(value, to)
    elif isinstance(value, float):
        to += b"\xcb" + NUMBERS[0xCB].pack(value)
    elif isinstance(value, str):
        _write_text(value.encode(), to)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _write_size(len(value), BINARIES, to)
        to += value
    elif isinstance(value, Mapping):
        _write_mapping(value, to)
    elif isinstance(value, (list, tuple)):
        _write_sequence(value, to)
    else:
        raise TypeError(f"msgpack has no {type(value).__name__}")


def _write_integer(value: int, to: bytearray) -> None:
    if -32 <= value < MAP_SHORT:
        to.append(value & 0xFF)
        return
    is_negative = value < 0
    needed = (~value).bit_length() + 1 if is_negative else value.bit_length()
    for bits, code in SIGNED if is_negative else UNSIGNED:
        if needed <= bits:
            to.append(code)
            to += value.to_bytes(bits // 8, "big", signed=is_negative)
            return
    raise ValueError("an integer in msgpack has at most 64 bits")


def _write_text(data: bytes, to: bytearray) -> None:
    if len(data) < 32:
        to.append(TEXT_SHORT | len(data))
    else:
        _write_size(len(data), TEXTS, to)
    to += data


def _write_mapping(value: Mapping[Any, Any], to: bytearray) -> None:
    if len(value) < 16:
        to.append(MAP_SHORT | len(value))
    else:
        _write_size(len(value), MAPS, to)
    for key, item in value.items():
        _write(key, to)
        _write(item, to)


def _write_sequence(value: list[Any] | tuple[Any, ...], to: bytearray) -> None:
    if len(value) < 16:
        to.append(LIST_SHORT | len(value))
    else:
        _write_size(len(value), ARRAYS, to)
    for item in value:
        _write(item, to)


def _write_size(size: int, kinds: Mapping[int, struct.Struct], to: bytearray) -> None:
    for code, kind in kinds.items():
        if size < 1 << (8 * kind.size):
            to.append(code)
            to += kind.pack(size)
            return
    raise ValueError("msgpack holds at most 4 GiB in one value")
