"""A cookie says who is signed in to whoever has the store's secret, and nothing to anybody else."""

from __future__ import annotations

import base64

import pytest

from reflex_control.dashboard import sign_ins as module
from reflex_control.dashboard.sign_ins import LASTS_MS, SignIns
from reflex_control.plane import Plane
from reflex_control.signing_keys import OVERLAP_MS, rotate_signing_key
from unit.reflex_control.conftest import Moment


def test_a_cookie_is_read_by_every_replica_until_its_time_is_over(plane: Plane, moment: Moment) -> None:
    signed_in = SignIns(plane).begin("key_1", by_code=True)
    cookie = SignIns(plane).cookie_of(signed_in)

    assert SignIns(plane).read(cookie) == signed_in
    assert LASTS_MS == 12 * 60 * 60 * 1000
    moment.now_ms += LASTS_MS - 1
    assert SignIns(plane).read(cookie) == signed_in
    moment.now_ms += 1
    assert SignIns(plane).read(cookie) is None


def test_a_cookie_shows_nothing_of_what_it_holds(plane: Plane) -> None:
    sign_ins = SignIns(plane)
    cookie = sign_ins.cookie_of(sign_ins.begin("key_1"))

    assert b"key_1" not in base64.urlsafe_b64decode(cookie)
    assert cookie != sign_ins.cookie_of(sign_ins.begin("key_1"))


def test_a_cookie_of_which_any_byte_was_changed_is_nobodys(plane: Plane) -> None:
    sign_ins = SignIns(plane)
    data = base64.urlsafe_b64decode(sign_ins.cookie_of(sign_ins.begin("key_1")))

    for at in range(0, len(data), 7):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert sign_ins.read(base64.urlsafe_b64encode(changed).decode()) is None


@pytest.mark.parametrize(
    "cookie", ["", "a", "\xff", "====", "A" * 100_000, base64.urlsafe_b64encode(b"x" * 12).decode()]
)
def test_what_is_no_cookie_is_nobodys(plane: Plane, cookie: str) -> None:
    assert SignIns(plane).read(cookie) is None


def test_what_was_sealed_for_one_purpose_is_nothing_for_another(plane: Plane) -> None:
    sign_ins = SignIns(plane)
    sealed = sign_ins.seal("login", {"deviceCode": "x"})

    assert sign_ins.unseal("login", sealed) == {"deviceCode": "x"}
    assert sign_ins.read(sealed) is None


def test_who_signed_out_is_out_with_every_copy_of_the_cookie(plane: Plane) -> None:
    sign_ins = SignIns(plane)
    ended, other = sign_ins.begin("key_1"), sign_ins.begin("key_1")
    sign_ins.end(ended)

    assert sign_ins.read(sign_ins.cookie_of(ended)) is None
    assert sign_ins.read(sign_ins.cookie_of(other)) == other


def test_a_new_signing_key_leaves_those_who_are_signed_in_the_time_of_the_overlap(plane: Plane, moment: Moment) -> None:
    sign_ins = SignIns(plane)
    signed_in = sign_ins.begin("key_1")
    cookie, token = sign_ins.cookie_of(signed_in), sign_ins.form_token(signed_in.id)
    with plane.database.writing() as connection:
        rotate_signing_key(connection, plane.clock())

    assert sign_ins.read(cookie) == signed_in
    assert sign_ins.is_form_token(signed_in.id, token)
    later = sign_ins.begin("key_1")
    sealed, new_token = sign_ins.cookie_of(later), sign_ins.form_token(later.id)
    moment.now_ms += OVERLAP_MS
    assert sign_ins.read(cookie) is None
    assert not sign_ins.is_form_token(signed_in.id, token)
    assert sign_ins.read(sealed) == later
    assert sign_ins.is_form_token(later.id, new_token)


def test_a_forms_token_is_one_browsers_own(plane: Plane) -> None:
    sign_ins = SignIns(plane)
    token = sign_ins.form_token("one")

    assert sign_ins.is_form_token("one", token)
    for subject, given in (("two", token), ("one", ""), ("one", token[:-1]), ("one", "\u2603")):
        assert not sign_ins.is_form_token(subject, given)


def test_sign_outs_take_bounded_room_and_none_of_them_is_forgotten(
    plane: Plane, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OF_A_KEY", 3)
    sign_ins = SignIns(plane)
    copied, other = sign_ins.begin("key_1"), sign_ins.begin("key_2")
    sign_ins.end(copied)
    for _ in range(100):
        sign_ins.end(sign_ins.begin("key_1"))

    assert sum(len(each.one_by_one) for each in sign_ins._ended.values()) <= 3
    assert (sign_ins.holds(copied), sign_ins.holds(other)) == (False, True)
    moment.now_ms += 1
    assert sign_ins.holds(sign_ins.begin("key_1"))
