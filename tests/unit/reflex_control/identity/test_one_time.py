"""A secret that is used once says what it is and is no other's; its hash is that of its kind alone."""

from __future__ import annotations

import hmac
import re

from reflex_control.identity.one_time import digest_of, new_secret


def test_secrets_say_what_they_are_and_none_is_like_another() -> None:
    made = {new_secret("rfx_pair_") for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"rfx_pair_[A-Za-z0-9]{30}", secret) for secret in made)


def test_a_digest_is_of_one_kind_and_does_not_change_between_releases() -> None:
    assert digest_of("rfx_pair_x", b"label") == hmac.digest(b"label", b"rfx_pair_x", "sha256")
    assert digest_of("rfx_pair_x", b"label") != digest_of("rfx_pair_x", b"another label")


def test_text_that_no_utf_8_has_is_a_secret_that_nobody_has() -> None:
    assert len(digest_of("\ud800", b"label")) == 32
