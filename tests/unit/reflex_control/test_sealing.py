"""What is sealed opens under its own key and label alone, and is another text each time."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reflex_control.sealing import sealed, unsealed

KEY, OTHER = b"k" * 32, b"o" * 32


def test_what_is_sealed_opens_and_never_looks_the_same() -> None:
    first, second = sealed(KEY, b"rfx_secret", b"answer"), sealed(KEY, b"rfx_secret", b"answer")

    assert [unsealed(KEY, each, b"answer") for each in (first, second)] == [b"rfx_secret"] * 2
    assert first != second
    assert b"secret" not in first


@pytest.mark.parametrize(("key", "label"), [(OTHER, b"answer"), (KEY, b"cookie"), (KEY, b"")])
def test_another_key_or_label_opens_nothing(key: bytes, label: bytes) -> None:
    with pytest.raises(InvalidTag):
        unsealed(key, sealed(KEY, b"rfx_secret", b"answer"), label)


@pytest.mark.parametrize("data", [b"", b"short", b"n" * 12, b"n" * 40])
def test_what_was_never_sealed_opens_nothing(data: bytes) -> None:
    with pytest.raises((InvalidTag, ValueError)):
        unsealed(KEY, data)


def test_what_an_earlier_release_kept_without_a_label_opens() -> None:
    kept = b"n" * 12 + AESGCM(KEY).encrypt(b"n" * 12, b"rfx_secret", None)

    assert unsealed(KEY, kept) == b"rfx_secret"
