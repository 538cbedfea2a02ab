"""Receipts: a file of them is whole, or the first line that is wrong is named."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.signed.canonical import sha256_of
from reflex.signed.moments import iso_of
from reflex.signed.receipts import (
    GENESIS_HASH,
    ReceiptError,
    Verdict,
    line_of,
    receipt_hash,
    seal,
    seal_header,
    verify_lines,
)
from reflex.signed.signing import Keyset, SigningKey

NOW_MS = 1_795_774_500_000
OLD, KEY = SigningKey("k1", bytes(range(32))), SigningKey("k2", bytes(range(1, 33)))
KEYSET = Keyset.of([OLD.as_public(not_after_ms=NOW_MS + 4000), KEY.as_public()])
STRANGER = SigningKey("k3", bytes(range(2, 34)))
RECEIPTS = 8


def receipt(seq: int, prev_hash: str, key: SigningKey, **changed: Any) -> dict[str, Any]:
    moment = iso_of(NOW_MS + 1000 * seq)
    body = {"id": f"rcpt_{seq}", "seq": seq, "timestamp": moment, "kind": "promote", "organisation": "org_1"}
    return seal({**body, "reason": "für die Küche", "steps": 50, "robotId": None, **changed}, prev_hash, key)


def chain(count: int = RECEIPTS) -> list[dict[str, Any]]:
    """Receipts of one organisation: the first four by the old key, then by the new one."""
    receipts: list[dict[str, Any]] = []
    for seq in range(1, count + 1):
        prev_hash = receipts[-1]["hash"] if receipts else GENESIS_HASH
        receipts.append(receipt(seq, prev_hash, OLD if seq <= 4 else KEY))
    return receipts


def file_of(receipts: list[dict[str, Any]], first: int = 1, last: int = RECEIPTS, key: SigningKey = KEY) -> list[bytes]:
    header = seal_header("org_1", KEYSET, first, last, NOW_MS + 60_000, key)
    return [line_of(header), *map(line_of, receipts)]


CHAIN = chain()
LINES = file_of(CHAIN)
CONTENT = b"".join(LINES)


def broken(lines: list[bytes], keyset: Keyset | None = KEYSET) -> tuple[int | None, str]:
    verdict = verify_lines(lines, keyset)
    assert not verdict.is_whole
    return verdict.bad_line, str(verdict.fault)


def test_a_whole_file_is_whole_and_says_by_whose_keys() -> None:
    assert verify_lines(LINES, KEYSET) == Verdict(8, False, "org_1", 1, 8)
    assert verify_lines(LINES) == Verdict(8, True, "org_1", 1, 8)
    assert verify_lines(CONTENT.decode().splitlines(keepends=True), KEYSET).is_whole
    assert verify_lines(CONTENT.removesuffix(b"\n").split(b"\n"), KEYSET).is_whole
    verify_lines(LINES, KEYSET).refuse_broken()


def test_a_part_of_a_chain_and_an_empty_one_are_whole_too() -> None:
    assert verify_lines(file_of(CHAIN[3:6], 4, 6), KEYSET) == Verdict(3, False, "org_1", 4, 6)
    assert verify_lines(file_of([], 1, 0), KEYSET) == Verdict(0, False, "org_1")


def test_a_receipts_hash_is_that_of_everything_but_its_seal() -> None:
    content = {name: value for name, value in CHAIN[1].items() if name not in ("hash", "signature", "keyId")}
    assert content["prevHash"] == CHAIN[0]["hash"]
    assert CHAIN[1]["hash"] == sha256_of(content) == receipt_hash(CHAIN[1], CHAIN[0]["hash"])
    assert receipt_hash(CHAIN[1], GENESIS_HASH) != CHAIN[1]["hash"]


@pytest.mark.parametrize("line", range(2, RECEIPTS + 2))
def test_the_line_of_a_receipt_that_was_changed_is_named(line: int) -> None:
    lines = LINES[:]
    lines[line - 1] = lines[line - 1].replace(b'"steps":50', b'"steps":51')
    assert broken(lines) == (line, "its content is not what its hash says: something in it was changed")


@pytest.mark.parametrize("line", range(2, RECEIPTS + 1))
def test_where_a_line_was_removed_or_two_were_swapped_the_first_wrong_one_is_named(line: int) -> None:
    words = f"receipt {line} stands where {line - 1} belongs: lines were removed, moved or added"
    assert broken(LINES[: line - 1] + LINES[line:]) == (line, words)
    assert broken([*LINES[: line - 1], LINES[line], LINES[line - 1], *LINES[line + 1 :]]) == (line, words)


def test_a_line_given_twice_is_named() -> None:
    assert broken(LINES[:4] + LINES[3:]) == (5, "receipt 3 stands where 4 belongs: lines were removed, moved or added")


@pytest.mark.parametrize("kept", range(RECEIPTS))
def test_a_tail_that_was_cut_off_is_told_by_the_line_that_is_missing(kept: int) -> None:
    words = f"the file ends before receipt {kept + 1}; its header says that 8 is the last"
    assert broken(LINES[: kept + 1]) == (kept + 2, words)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (STRANGER, "it is signed by a key that is not in the keyset"),
        (SigningKey("k2", STRANGER.seed), "it is not signed by the key k2 that it names, or that key had ended before"),
        (OLD, "it is not signed by the key k1 that it names, or that key had ended before"),
        (KEY, "receipt 9 was added: the header says that 8 is the last"),
    ],
    ids=["stranger", "impostor", "ended", "own"],
)
def test_a_line_that_was_appended_is_named_whoever_signed_it(key: SigningKey, words: str) -> None:
    assert broken([*LINES, line_of(receipt(9, CHAIN[-1]["hash"], key))]) == (10, words)


def test_a_receipt_that_an_impostor_put_in_place_of_another_is_named() -> None:
    forged = receipt(3, CHAIN[1]["hash"], SigningKey("k1", STRANGER.seed), mode="apply_actions")
    assert broken([*LINES[:3], line_of(forged), *LINES[4:]])[0] == 4


def test_another_chain_of_the_same_signer_cannot_be_spliced_in() -> None:
    other = receipt(3, "sha256:" + "5" * 64, OLD)
    assert broken([*LINES[:3], line_of(other)]) == (
        4, "receipt 3 does not follow the one before it: it names another hash")  # fmt: skip
    first = receipt(1, "sha256:" + "5" * 64, OLD)
    assert broken([LINES[0], line_of(first)])[0] == 2
    foreign = receipt(1, GENESIS_HASH, OLD, organisation="org_2")
    assert broken([LINES[0], line_of(foreign)]) == (2, "the receipt is of another organisation than the header")


HEADER: dict[str, Any] = json.loads(LINES[0])


@pytest.mark.parametrize("changed", [
    {"last": 7}, {"first": 2}, {"organisation": "org_2"}, {"exportedAt": iso_of(0)}, {"keyId": "k1"},
    {"kind": "footer"},
    {"hash": None}, {"signature": None}, {"signature": ""}, {"keyset": None}, {"keyset": {"keys": []}}, {"last": "8"},
    {"keyset": Keyset.of([KEY.as_public()]).as_json()}, {"last": True}, {"exportedAt": None}, {"organisation": None},
    {"note": "x"},
], ids=str)  # fmt: skip
def test_a_header_that_was_changed_is_line_one_with_a_keyset_and_without(changed: dict[str, Any]) -> None:
    lines = [line_of(HEADER | changed), *LINES[1:]]
    assert broken(lines)[0] == broken(lines, None)[0] == 1


def test_a_file_that_a_stranger_made_whole_is_refused_once_a_keyset_is_given() -> None:
    forged = [receipt(1, GENESIS_HASH, STRANGER)]
    theirs = seal_header("org_1", Keyset.of([STRANGER.as_public()]), 1, 1, NOW_MS, STRANGER)
    lines = [line_of(theirs), *map(line_of, forged)]
    assert verify_lines(lines) == Verdict(1, True, "org_1", 1, 1)
    assert broken(lines) == (1, "it is signed by a key that is not in the keyset")
    same_id = Keyset.of([SigningKey("k3", KEY.seed).as_public()])
    assert broken(lines, same_id) == (1, "the header has another key of the id k3 than the keyset that was given")


@pytest.mark.parametrize(("lines", "line"), [
    ([], 1), ([b""], 1), ([b"\n", *LINES], 1), (LINES[1:], 1), ([*LINES, b"\n"], 10), ([LINES[0], LINES[0]], 2),
    ([LINES[0], b"{}\n"], 2), ([LINES[0], b"[]\n"], 2), ([LINES[0], b"\xff\n"], 2), ([LINES[0], b"[" * 100_000], 2),
    ([LINES[0][:-1] + b"\r\n", *LINES[1:]], 1), (["\ud800"], 1),
], ids=str)  # fmt: skip
def test_what_is_no_file_of_receipts_is_told_and_raises_nothing(lines: list[Any], line: int) -> None:
    assert broken(lines)[0] == line


@given(st.integers(0, len(CONTENT) - 2), st.integers(1, 255), st.booleans())
def test_any_altered_byte_of_a_file_is_refused_on_its_own_line(at: int, flipped: int, is_given: bool) -> None:
    altered = bytearray(CONTENT)
    altered[at] ^= flipped
    line = CONTENT.count(b"\n", 0, at) + 1
    assert broken(bytes(altered).splitlines(keepends=True), KEYSET if is_given else None)[0] == line


def test_a_thousand_files_altered_in_several_ways_at_once_are_all_refused() -> None:
    chance = random.Random(11)
    for _ in range(1000):
        lines = LINES[:]
        del lines[chance.randrange(len(lines))]
        chance.shuffle(lines)
        lines.insert(chance.randrange(len(lines)), chance.choice(LINES))
        assert lines == LINES or not verify_lines(lines, KEYSET).is_whole


def test_a_broken_file_is_an_error_that_names_the_line_and_survives_the_way_to_another_process() -> None:
    with pytest.raises(ReceiptError, match="line 3: the file ends before receipt 2") as caught:
        verify_lines(LINES[:2], KEYSET).refuse_broken()
    assert copy.copy(caught.value).line == 3
