"""Ed25519 keys and keysets: what was signed is known, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.errors import SetupError
from reflex.signed.signing import Keyset, PublicKey, SigningKey, from_base64url, to_base64url

KEY = SigningKey("2026-11", bytes(range(32)))
KEYSET = Keyset.of([KEY.as_public()])
ENTRY = KEY.as_public(0).as_json()


def test_a_signature_is_that_of_the_standard() -> None:
    # RFC 8032, section 7.1, test 1
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = SigningKey("rfc", seed)
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


def test_new_keys_differ_and_show_nothing_of_their_secret() -> None:
    one, other = SigningKey.generate("a"), SigningKey.generate("a")
    assert one.seed != other.seed
    assert repr(one) == "SigningKey(kid='a')"


@given(st.binary(max_size=40), st.binary(min_size=64, max_size=64), st.integers(0, 511))
def test_only_the_signature_of_the_very_message_is_right(message: bytes, other: bytes, bit: int) -> None:
    signature = KEY.sign(message)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert KEYSET.verify("2026-11", message, signature)
    assert not KEYSET.verify("2026-11", message + b"!", signature)
    assert not KEYSET.verify("2026-11", message, bytes(changed))
    assert not KEYSET.verify("2026-11", message, other)


@pytest.mark.parametrize("length", [0, 1, 63, 65])
def test_a_signature_of_another_length_is_wrong_and_no_error(length: int) -> None:
    assert not KEYSET.verify("2026-11", b"", bytes(length))


def test_an_unknown_key_vouches_for_nothing_and_an_old_one_for_nothing_new() -> None:
    keyset = Keyset.of([KEY.as_public(not_after_ms=1000)])
    signature = KEY.sign(b"m")
    assert not keyset.verify("2026-12", b"m", signature)
    assert keyset.verify("2026-11", b"m", signature, at_ms=1000)
    assert not keyset.verify("2026-11", b"m", signature, at_ms=1001)
    assert KEYSET.verify("2026-11", b"m", signature, at_ms=10**15)


@pytest.mark.parametrize("as_text", [lambda value: value, json.dumps, lambda value: json.dumps(value).encode()])
def test_a_keyset_reads_back_as_object_and_as_text(as_text: Any) -> None:
    keyset = Keyset.of([KEY.as_public(1_795_774_500_007), SigningKey.generate("next").as_public()])
    assert Keyset.from_json(as_text(keyset.as_json())) == keyset
    assert list(ENTRY) == ["kid", "alg", "x", "notAfter"]
    assert ENTRY["notAfter"] == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "no JSON"), ("[" * 100_000, "no JSON"), (b"\xff", "no JSON"), ("[]", "a list `keys`"),
        ({}, "a list `keys`"),
        ({"keys": []}, "at least one"), ({"keys": {}}, "a list"), ({"keys": ["k"]}, "key 1 of the keyset is no object"),
        ({"keys": [ENTRY, ENTRY | {"alg": "RS256"}]}, "key 2 of the keyset: alg must be Ed25519"),
        ({"keys": [ENTRY | {"kid": 5}]}, "kid and x must be text"), ({"keys": [ENTRY | {"x": None}]}, "must be text"),
        ({"keys": [ENTRY | {"kid": "a b"}]}, "key's id"), ({"keys": [ENTRY | {"x": "AAAA"}]}, "32 bytes, not 3"),
        ({"keys": [ENTRY | {"x": "é"}]}, "key 1 of the keyset"), ({"keys": [ENTRY | {"notAfter": "soon"}]}, "a moment"),
        ({"keys": [ENTRY | {"notAfter": 5}]}, "a moment"), ({"keys": [ENTRY, ENTRY]}, "two keys of the id 2026-11"),
    ],
    ids=lambda value: str(value)[-40:],
)  # fmt: skip
def test_what_is_no_keyset_is_refused_with_a_sentence(document: Any, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        Keyset.from_json(document)


@pytest.mark.parametrize(("kid", "key"), [("", bytes(32)), ("a\n", bytes(32)), ("a", b""), ("a", bytes(33))])
def test_a_key_of_another_form_is_refused(kid: str, key: bytes) -> None:
    for kind in (PublicKey, SigningKey):
        with pytest.raises(ValueError, match="key"):
            kind(kid, key)


@given(st.binary(max_size=40), st.text(max_size=8))
def test_bytes_have_one_text_and_no_other_text_reads_as_them(data: bytes, other: str) -> None:
    text = to_base64url(data)
    assert from_base64url(text) == data
    try:
        assert to_base64url(from_base64url(other)) == other
    except ValueError:
        return


def test_cryptography_is_imported_only_where_something_is_signed_or_checked() -> None:
    code = "import sys, reflex.signed.signing; print('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
