"""Session credentials: a server believes those that its control plane signed, until they expire, and no others."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.signed.canonical import canonical_json, parse_canonical
from reflex.signed.session_credential import PREFIX, Claims, CredentialError, issue, read
from reflex.signed.signing import Keyset, SigningKey, from_base64url, to_base64url

NOW_MS = 1_795_774_500_000
KEY, OLD = SigningKey("k2", bytes(range(32))), SigningKey("k1", bytes(range(1, 33)))
KEYSET = Keyset.of([KEY.as_public(), OLD.as_public(not_after_ms=NOW_MS + 60_000)])
CLAIMS = Claims(
    session_id="sess_1", organisation_id="org_1", robot_id="robot_1", deployment_id="deploy_1",
    model_hash="sha256:" + "a" * 64, model_version="demo@aaaaaaaa", mode="dry_run", calibration_id="cal_1",
    limits_hash="sha256:" + "b" * 64, issued_at_ms=NOW_MS - 1000, expires_at_ms=NOW_MS + 119_000,
)  # fmt: skip
GOOD = issue(CLAIMS, KEY)
SIGNED, SIGNATURE = GOOD.split(".")
FORGERIES = 10_000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/= é\n"


def reason_of(token: str, now_ms: int = NOW_MS) -> str:
    with pytest.raises(CredentialError) as caught:
        read(token, KEYSET, now_ms)
    assert len(token) < 20 or token not in str(caught.value)
    return caught.value.reason


def claiming(signature: str = SIGNATURE, **changed: Any) -> str:
    """The good credential with other claims under its signature; None takes a claim away."""
    wire = parse_canonical(from_base64url(SIGNED.removeprefix(PREFIX))) | changed
    return f"{PREFIX}{to_base64url(canonical_json(wire))}.{signature}"


def signed_anew(**changed: Any) -> str:
    """The good credential with other claims, signed by its own key."""
    signed = claiming(**changed).split(".")[0]
    return f"{signed}.{to_base64url(KEY.sign(signed.encode()))}"


def test_what_was_issued_is_read_until_it_expires() -> None:
    assert GOOD.startswith("rfx_sess_")
    assert read(GOOD, KEYSET, NOW_MS) == replace(CLAIMS, key_id="k2")
    assert read(GOOD, KEYSET, CLAIMS.expires_at_ms - 1).mode == "dry_run"
    assert reason_of(GOOD, CLAIMS.expires_at_ms) == "expired"


def test_what_a_session_does_not_have_is_nothing() -> None:
    bare = replace(CLAIMS, robot_id=None, deployment_id=None, calibration_id=None, limits_hash=None)
    assert read(issue(bare, KEY), KEYSET, NOW_MS) == replace(bare, key_id="k2")


def test_the_claims_stand_in_the_credential_under_their_short_names() -> None:
    wire = parse_canonical(from_base64url(SIGNED.removeprefix(PREFIX)))
    assert set(wire) == {
        "sid", "org", "robot", "deployment", "model", "modelVersion", "mode", "calibration", "limits", "iat", "exp",
        "kid",
    }  # fmt: skip
    assert (wire["sid"], wire["exp"], wire["kid"]) == ("sess_1", NOW_MS + 119_000, "k2")


def test_an_old_key_vouches_until_its_own_end() -> None:
    token = issue(CLAIMS, OLD)
    assert read(token, KEYSET, NOW_MS + 60_000).key_id == "k1"
    assert reason_of(token, NOW_MS + 60_001) == "expired"


def test_another_control_planes_credential_is_refused_also_under_the_same_key_id() -> None:
    assert reason_of(issue(CLAIMS, SigningKey.generate("k3"))) == "unknown_key"
    assert reason_of(issue(CLAIMS, SigningKey.generate("k2"))) == "forged"
    assert reason_of(claiming(kid="k1")) == "forged"


@pytest.mark.parametrize("changed", [
    {"mode": "apply_actions"}, {"exp": NOW_MS + 10**9}, {"robot": "robot_2"}, {"robot": None}, {"org": "org_2"},
    {"sid": "sess_2"}, {"model": "sha256:" + "c" * 64}, {"limits": None}, {"iat": 0},
], ids=str)  # fmt: skip
def test_no_claim_can_be_changed_under_a_signature(changed: dict[str, Any]) -> None:
    assert reason_of(claiming(**changed)) == "forged"


@pytest.mark.parametrize("changed", [
    {"mode": "apply"}, {"mode": None}, {"exp": str(NOW_MS)}, {"exp": NOW_MS + 0.5}, {"exp": True}, {"exp": None},
    {"iat": -1}, {"iat": NOW_MS + 10**9}, {"exp": 10**30}, {"sid": ""}, {"sid": None}, {"sid": 5}, {"org": "a\n"},
    {"robot": ["robot_1"]}, {"robot": ""}, {"model": "a" * 64}, {"model": None}, {"limits": "sha256:"}, {"kid": ""},
    {"kid": None}, {"kid": ["k2"]}, {"scope": "all"}, {"sid": "s" * 257},
], ids=lambda changed: str(changed)[:40])  # fmt: skip
def test_claims_of_another_form_are_refused_even_when_they_are_signed(changed: dict[str, Any]) -> None:
    assert reason_of(signed_anew(**changed)) == "malformed"


@pytest.mark.parametrize("token", [
    "", ".", "rfx_sess_", "rfx_sess_.", SIGNED, f"{SIGNED}.", f"{GOOD}.", f"{GOOD}=", f" {GOOD}", f"{GOOD}\n",
    GOOD.removeprefix("rfx_"), GOOD.upper(), f"{PREFIX}e30.{SIGNATURE}", f"{PREFIX}W10.{SIGNATURE}", "é" * 40,
    "rfx_" + "0" * 36, f"Bearer {GOOD}", PREFIX + "A" * 100_000 + ".AAAA", f"{PREFIX}\ud800.AAAA", f"{SIGNED}.é",
], ids=lambda token: repr(token)[:30])  # fmt: skip
def test_what_is_no_credential_is_malformed(token: str) -> None:
    assert reason_of(token) == "malformed"


def test_a_signature_of_something_else_by_the_same_key_is_no_credential() -> None:
    claims = SIGNED.removeprefix(PREFIX)
    for message in (claims.encode(), from_base64url(claims), b"sha256:" + b"a" * 64):
        assert reason_of(f"{SIGNED}.{to_base64url(KEY.sign(message))}") == "forged"


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(ALPHABET))
def test_any_altered_character_is_refused(at: int, character: str) -> None:
    altered = GOOD[:at] + character + GOOD[at + 1 :]
    if altered != GOOD:
        reason_of(altered)


def test_the_last_characters_unused_bits_are_no_second_spelling() -> None:
    last = ALPHABET.index(GOOD[-1])
    twins = [GOOD[:-1] + ALPHABET[last ^ bit] for bit in range(1, 16)]
    assert {reason_of(twin) for twin in twins} == {"malformed"}


def forgery(chance: random.Random) -> str:
    """One that must not pass: cut, spliced, altered, signed by another, expired, or of another form."""
    kind = chance.randrange(6)
    at, other = chance.randrange(len(GOOD)), chance.randrange(len(GOOD))
    if kind == 0:
        return GOOD[:at]
    if kind == 1:
        return GOOD[:at] + chance.choice(ALPHABET) + GOOD[other:] + "x"
    if kind == 2:
        moment_ms = NOW_MS + chance.randrange(-(10**6), 10**9)
        return claiming(exp=moment_ms) if chance.random() < 0.5 else claiming(iat=moment_ms)
    if kind == 3:
        return claiming(to_base64url(chance.randbytes(64)))
    if kind == 4:
        return issue(CLAIMS, SigningKey(chance.choice(["k1", "k2", "k3"]), chance.randbytes(32)))
    past_ms = NOW_MS - chance.randrange(1, 10**9)
    return issue(replace(CLAIMS, issued_at_ms=past_ms - 120_000, expires_at_ms=past_ms), chance.choice([KEY, OLD]))


@pytest.mark.slow
def test_of_ten_thousand_forged_altered_expired_and_foreign_credentials_none_passes() -> None:
    chance, reasons = random.Random(7), dict.fromkeys(["malformed", "unknown_key", "forged", "expired"], 0)
    for _ in range(FORGERIES):
        reasons[reason_of(forgery(chance))] += 1
    assert sum(reasons.values()) == FORGERIES
    assert min(reasons.values()) > 300


def test_a_credential_cannot_be_issued_of_claims_that_make_no_sense() -> None:
    for wrong in ({"mode": "apply"}, {"expires_at_ms": CLAIMS.issued_at_ms}, {"session_id": ""}, {"model_hash": "x"}):
        with pytest.raises(ValueError, match=r"."):
            replace(CLAIMS, **wrong)


def test_an_error_survives_the_way_to_another_process() -> None:
    assert copy.copy(CredentialError("forged")).reason == "forged"
