"""A stand-in for the driver's library: a shared library of a few instructions, written without a compiler.

It has the functions that `reflex.gpus.driver` asks, and answers for the cards that a test names. Only what the loader
of Linux on x86-64 reads is in it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["H200", "RTX_3090", "RTX_4090", "RTX_5090", "T4", "V100", "Card", "Standin", "write_library"]

RETURN: Final = b"\xc3"
HEADER_BYTES: Final = 64 + 3 * 56
NAME_BYTES: Final = 64
"""Reserved for a name by each of its instructions."""


@dataclass(frozen=True)
class Card:
    name: str
    capability: tuple[int, int]
    memory_bytes: int = 24 * 2**30


H200: Final = Card("NVIDIA H200", (9, 0), 141 * 2**30)
RTX_4090: Final = Card("NVIDIA GeForce RTX 4090", (8, 9))
RTX_3090: Final = Card("NVIDIA GeForce RTX 3090", (8, 6))
RTX_5090: Final = Card("NVIDIA GeForce RTX 5090", (12, 0), 32 * 2**30)
T4: Final = Card("Tesla T4", (7, 5), 16 * 2**30)
V100: Final = Card("Tesla V100-SXM2-16GB", (7, 0), 16 * 2**30)


@dataclass(frozen=True)
class Standin:
    """What the library says."""

    cards: Sequence[Card] = (RTX_4090,)
    cuda: int = 13000
    results: Mapping[str, int] = field(default_factory=dict)
    """What a function returns in place of success."""

    def write(self, path: Path) -> Path:
        """As a file that the loader takes; a new one, for the old one may be in use."""
        path.unlink(missing_ok=True)
        functions = {
            "cuInit": b"",
            "cuDriverGetVersion": _store(self.cuda),
            "cuDeviceGetCount": _store(len(self.cards)),
            "cuDeviceGet": b"\x89\x37",  # mov [rdi], esi
            "cuDeviceGetName": self._by_card(2, [_store_text(card.name) for card in self.cards]),
            "cuDeviceTotalMem_v2": self._by_card(6, [_store_long(card.memory_bytes) for card in self.cards]),
            "cuDeviceGetAttribute": self._by_card(2, [_attributes(card) for card in self.cards]),
        }
        code = {name: body + _return(self.results.get(name, 0)) for name, body in functions.items()}
        path.write_bytes(write_library(path.name, code))
        return path

    def _by_card(self, register: int, bodies: Sequence[bytes]) -> bytes:
        """The body of the card whose number is in the register: 2 is edx, 6 is esi."""
        code = b""
        for index, body in enumerate(bodies):
            body += _return(0)
            code += bytes([0x83, 0xF8 | register, index]) + b"\x0f\x85" + struct.pack("<i", len(body)) + body
        return code


def write_library(soname: str, functions: Mapping[str, bytes]) -> bytes:
    """An ELF file with these functions, each machine code without a relocation."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (soname, *functions))
    where = {name: names.index(b"\0" + name.encode() + b"\0") + 1 for name in (soname, *functions)}
    symbols_at = HEADER_BYTES
    hash_at = symbols_at + 24 * (len(functions) + 1)
    names_at = hash_at + 4 * (3 + len(functions) + 1)
    dynamic_at = (names_at + len(names) + 15) // 16 * 16
    code_at = dynamic_at + 16 * 7
    symbols, code = bytes(24), b""
    for name, body in functions.items():
        symbols += struct.pack("<IBBHQQ", where[name], 0x12, 0, 1, code_at + len(code), len(body))
        code += body
    chain = [0, *range(2, len(functions) + 1), 0]
    table = struct.pack(f"<{3 + len(chain)}I", 1, len(chain), 1, *chain)
    tags = ((14, where[soname]), (4, hash_at), (5, names_at), (6, symbols_at), (10, len(names)), (11, 24), (0, 0))
    dynamic = b"".join(struct.pack("<QQ", *each) for each in tags)
    body = symbols + table + names
    body += bytes(dynamic_at - HEADER_BYTES - len(body)) + dynamic + code
    size = HEADER_BYTES + len(body)
    return _headers(size, dynamic_at, len(dynamic)) + body


def _headers(size: int, dynamic_at: int, dynamic_bytes: int) -> bytes:
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    parts = ((1, 7, 0, size, 4096), (2, 6, dynamic_at, dynamic_bytes, 8), (0x6474E551, 6, 0, 0, 16))
    for kind, flags, at, length, align in parts:
        header += struct.pack("<IIQQQQQQ", kind, flags, at, at, at, length, length, align)
    return header


def _return(value: int) -> bytes:
    return b"\xb8" + struct.pack("<i", value) + RETURN  # mov eax, value; ret


def _store(value: int, at: int = 0) -> bytes:
    return b"\xc7\x87" + struct.pack("<ii", at, value)  # mov dword [rdi + at], value


def _store_long(value: int) -> bytes:
    return b"\x48\xb8" + struct.pack("<Q", value) + b"\x48\x89\x07"  # mov rax, value; mov [rdi], rax


def _store_text(text: str) -> bytes:
    raw = (text.encode() + b"\0").ljust(NAME_BYTES, b"\0")
    return b"".join(_store(value, 4 * index) for index, value in enumerate(struct.unpack(f"<{NAME_BYTES // 4}i", raw)))


def _attributes(card: Card) -> bytes:
    major, minor = (_store(number) + _return(0) for number in card.capability)
    return b"\x83\xfe\x4b\x75" + bytes([len(major)]) + major + minor  # cmp esi, 75; jne over it
