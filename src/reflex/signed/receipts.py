"""Receipts: a chain of signed lines of what happened, one chain for each organisation, and how anybody checks it.

A receipt's `hash` is that of all its fields but `hash`, `signature` and `keyId`; `prevHash` and `seq` are among them,
so none can be changed, left out or moved. `signature` is base64 of the Ed25519 signature of the hash's ASCII.

An exported file has one object in canonical JSON a line. The first is the header: whose receipts they are, from which
`seq` to which, and the keyset. It is sealed like a receipt, so that a tail that was cut off is noticed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from reflex.errors import ReflexError, SetupError
from reflex.signed.canonical import canonical_json, parse_canonical, sha256_of
from reflex.signed.moments import iso_of, ms_of
from reflex.signed.signing import Keyset, SigningKey

__all__ = [
    "FIRST_SEQ",
    "GENESIS_HASH",
    "ReceiptError",
    "Verdict",
    "line_of",
    "receipt_hash",
    "seal",
    "seal_header",
    "verify_lines",
]

GENESIS_HASH: Final = "sha256:" + "0" * 64
"""`prevHash` of the first receipt of a chain."""
FIRST_SEQ: Final = 1
HEADER: Final = "header"
SEAL: Final = frozenset({"hash", "signature", "keyId"})

Fields = Mapping[str, object]


class ReceiptError(ReflexError):
    """A file of receipts that is not what the control plane wrote; `line` is the first that is wrong."""

    code = "receipt"

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(f"line {line}: {fault}")
        self.line = line
        self.fault = fault

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.line, self.fault)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of checking a file: everything up to `bad_line` is right, and all of it when that is None."""

    receipts: int
    """How many are right, from the first on."""
    keys_are_from_the_file: bool
    """Nobody gave a keyset: the file agrees with itself, which does not yet say who wrote it."""
    organisation: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    """Of the receipts that are right."""
    bad_line: int | None = None
    fault: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.bad_line is None

    def refuse_broken(self) -> None:
        """`ReceiptError` unless the file is whole."""
        if self.bad_line is not None:
            raise ReceiptError(self.bad_line, str(self.fault))


def receipt_hash(body: Fields, prev_hash: str) -> str:
    """The hash of a receipt, sealed already or not, that follows the one of `prev_hash`."""
    return _hash_of({**body, "prevHash": prev_hash})


def seal(body: Fields, prev_hash: str, key: SigningKey) -> dict[str, object]:
    """The whole receipt: `body` (with its `seq`) and `prevHash`, `hash`, `signature` and `keyId`."""
    return _seal({**body, "prevHash": prev_hash}, key)


def seal_header(
    organisation: str, keyset: Keyset, first: int, last: int, exported_at_ms: int, key: SigningKey
) -> dict[str, object]:
    """The header of a file of the receipts from `first` to `last`; `last` is `first - 1` when there are none."""
    header = {"kind": HEADER, "organisation": organisation, "keyset": keyset.as_json(), "first": first, "last": last}
    return _seal({**header, "exportedAt": iso_of(exported_at_ms)}, key)


def line_of(sealed: Fields) -> bytes:
    """A receipt or a header as a line of the file."""
    return canonical_json(sealed) + b"\n"


def verify_lines(lines: Iterable[bytes | str], keyset: Keyset | None = None) -> Verdict:
    """Check a file, given as its lines; without a keyset by the keys that its header names."""
    chain, number = _Chain(keyset), 0
    try:
        for line in lines:
            number += 1
            chain.take(_object_in(line))
        number += 1
        chain.end()
    except ValueError as exc:
        return chain.verdict(number, str(exc))
    return chain.verdict(None, None)


class _Chain:
    """What has been checked so far. Each step raises `ValueError`, in words, at the first thing that is wrong."""

    def __init__(self, given: Keyset | None) -> None:
        self.given = given
        self.keyset = given
        self.organisation: str | None = None
        self.first = self.next_seq = FIRST_SEQ
        self.last = 0
        self.prev_hash: str | None = None

    def take(self, sealed: Fields) -> None:
        """The header, then one receipt after the other."""
        if self.organisation is None:
            self._take_header(sealed)
        else:
            self._take_receipt(sealed)

    def end(self) -> None:
        if self.organisation is None:
            raise ValueError("the file is empty; `reflex receipts export` writes one with a header")
        if self.next_seq <= self.last:
            raise ValueError(
                f"the file ends before receipt {self.next_seq}; its header says that {self.last} is the last"
            )

    def verdict(self, bad_line: int | None, fault: str | None) -> Verdict:
        count = self.next_seq - self.first
        first, last = (self.first, self.next_seq - 1) if count else (None, None)
        return Verdict(count, self.given is None, self.organisation, first, last, bad_line, fault)

    def _take_header(self, header: Fields) -> None:
        organisation, first, last = (header.get(name) for name in ("organisation", "first", "last"))
        if header.get("kind") != HEADER or not isinstance(organisation, str):
            raise ValueError("a file of receipts begins with its header, and this is none")
        if not _is_seq(first) or not _is_seq(last):
            raise ValueError("first and last of the header must be the numbers of receipts")
        self.keyset = self._trusted(_keyset_in(header))
        _check_seal(header, self.keyset, ms_of(header.get("exportedAt")))
        self.organisation, self.first, self.next_seq, self.last = organisation, first, first, last
        self.prev_hash = GENESIS_HASH if first == FIRST_SEQ else None

    def _trusted(self, named: Keyset) -> Keyset:
        if self.given is None:
            return named
        for kid in named.keys.keys() & self.given.keys.keys():
            if named.keys[kid].public != self.given.keys[kid].public:
                raise ValueError(f"the header has another key of the id {kid} than the keyset that was given")
        return self.given

    def _take_receipt(self, receipt: Fields) -> None:
        seq, prev_hash = receipt.get("seq"), receipt.get("prevHash")
        _check_seal(receipt, self.keyset, ms_of(receipt.get("timestamp")))
        if receipt.get("organisation") != self.organisation:
            raise ValueError("the receipt is of another organisation than the header")
        if type(seq) is not int or seq != self.next_seq:
            raise ValueError(f"receipt {seq} stands where {self.next_seq} belongs: lines were removed, moved or added")
        if self.prev_hash is not None and prev_hash != self.prev_hash:
            raise ValueError(f"receipt {seq} does not follow the one before it: it names another hash")
        if seq > self.last:
            raise ValueError(f"receipt {seq} was added: the header says that {self.last} is the last")
        self.next_seq, self.prev_hash = seq + 1, str(receipt["hash"])


def _seal(content: Fields, key: SigningKey) -> dict[str, object]:
    content_hash = _hash_of(content)
    signature = base64.b64encode(key.sign(content_hash.encode("ascii"))).decode("ascii")
    return {**content, "hash": content_hash, "signature": signature, "keyId": key.kid}


def _hash_of(content: Fields) -> str:
    return sha256_of({name: value for name, value in content.items() if name not in SEAL})


def _check_seal(sealed: Fields, keyset: Keyset | None, at_ms: int) -> None:
    content_hash, kid, signature = (sealed.get(name) for name in ("hash", "keyId", "signature"))
    if not isinstance(content_hash, str) or _hash_of(sealed) != content_hash:
        raise ValueError("its content is not what its hash says: something in it was changed")
    if not isinstance(kid, str) or keyset is None or kid not in keyset.keys:
        raise ValueError("it is signed by a key that is not in the keyset")
    if not keyset.verify(kid, content_hash.encode("ascii"), _signature_in(signature), at_ms=at_ms):
        raise ValueError(f"it is not signed by the key {kid} that it names, or that key had ended before")


def _signature_in(text: object) -> bytes:
    try:
        signature = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its signature is no base64") from None
    if base64.b64encode(signature).decode("ascii") != text:  # a second spelling of the same bytes
        raise ValueError("its signature is no base64 as it is written here")
    return signature


def _keyset_in(header: Fields) -> Keyset:
    keyset = header.get("keyset")
    try:
        return Keyset.from_json(keyset if isinstance(keyset, Mapping) else {})
    except SetupError as exc:
        raise ValueError(f"the header's keyset cannot be read: {exc}") from exc


def _object_in(line: bytes | str) -> Fields:
    data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    try:
        return parse_canonical(data.removesuffix(b"\n"))
    except ValueError:
        raise ValueError("the line is not one object in canonical JSON, as the control plane writes it") from None


def _is_seq(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0
