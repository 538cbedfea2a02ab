"""Only who shows the credential of a living session of a served policy gets in, and nobody learns why not."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from reflex.errors import ServiceError, UnauthorizedError, UnavailableError
from reflex.signed import session_credential
from reflex.signed.signing import Keyset, SigningKey
from reflex_frontend.callers import sessions as module
from reflex_frontend.callers.ended import EndedSessions
from reflex_frontend.callers.sessions import Sessions
from support.clock import Clock, clock
from support.control.forged import altered
from support.outside.control_stand_in import claims, credential

__all__ = ["clock"]

KEY, NEXT, STRANGER = SigningKey.generate("k1"), SigningKey.generate("k2"), SigningKey.generate("k1")
HASH, OTHER_HASH = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
NOW_MS = 1_800_000_000_000
LIFE_MS = 120_000
WRONG = 10_000


@dataclass
class Source:
    keyset: Keyset | None = field(default_factory=lambda: Keyset.of([KEY.as_public()]))
    renewed: Keyset | None = None
    renewals: int = 0
    stale: str | None = None
    organisation_id: str | None = None
    is_catching_up: bool = False

    async def renew(self) -> None:
        self.renewals += 1
        self.keyset = self.renewed or self.keyset


class Gate:
    """Sessions with a clock that stands; by default one policy is served, that of the credentials."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self.source = source
        self.ended = EndedSessions(clock)
        self.now_ms = NOW_MS
        self.sessions = Sessions(source, self.ended, lambda: self.now_ms)

    def admit(self, *headers: tuple[bytes, bytes], served: tuple[str, ...] = (HASH,)) -> session_credential.Claims:
        return asyncio.run(self.sessions.admit(headers, served))

    def refusal(self, *headers: tuple[bytes, bytes], served: tuple[str, ...] = (HASH,)) -> ServiceError:
        with pytest.raises(UnauthorizedError) as caught:
            self.admit(*headers, served=served)
        return caught.value


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(Source(), clock)


def bearer(text: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + text.encode()


def issued(key: SigningKey = KEY, **changes: Any) -> str:
    return credential(key, **{"issued_at_ms": NOW_MS, **changes})


def test_a_credential_lets_in_and_says_who_comes(gate: Gate) -> None:
    token = issued(mode="apply_actions")
    for header in (bearer(token), (b"x-reflex-key", token.encode())):
        admitted = gate.admit(header)
        assert (admitted.session_id, admitted.mode) == ("sess_1", "apply_actions")


def test_an_api_key_beside_it_does_no_harm(gate: Gate) -> None:
    assert gate.admit(bearer(issued()), (b"x-reflex-key", b"rfx_0123")).session_id == "sess_1"


@pytest.mark.slow
def test_of_ten_thousand_that_are_forged_altered_expired_or_foreign_none_gets_in(gate: Gate) -> None:
    chance = random.Random(11)
    good = [issued(session_id=f"sess_{number}") for number in range(20)]
    outdated = [issued(issued_at_ms=NOW_MS - LIFE_MS - late) for late in (0, 1, 1000, 86_400_000)]
    foreign = [issued(STRANGER, session_id=f"sess_{number}") for number in range(20)]
    foreign += [issued(NEXT), issued(model_hash=OTHER_HASH)]
    wrong = [*outdated, *foreign]
    while len(wrong) < WRONG:
        wrong.append(altered(chance, chance.choice(good), chance.choice([*foreign, *good])))
    gate.admit(bearer(good[0]))
    headers = [bearer(token) for token in wrong if token not in good]
    assert len(headers) > WRONG * 0.9

    async def admitted() -> list[Any]:
        return [await refused_with(gate, each) for each in headers]

    codes = asyncio.run(admitted())
    assert set(codes) == {"unauthorized", "session_expired", "session_mode"}
    assert codes[: len(outdated)] == ["session_expired"] * len(outdated)
    assert codes.count("session_expired") == len(outdated)
    assert codes.count("session_mode") == 1


async def refused_with(gate: Gate, header: tuple[bytes, bytes]) -> str:
    try:
        await gate.sessions.admit((header,), (HASH,))
    except UnauthorizedError as exc:
        return exc.code
    return "admitted"


def test_a_session_of_another_organisation_gets_in_nowhere(gate: Gate) -> None:
    gate.source.organisation_id = "org_1"
    assert gate.admit(bearer(issued())).organisation_id == "org_1"

    other = gate.refusal(bearer(issued(organisation_id="org_2")))
    assert (other.code, str(other)) == ("unauthorized", str(gate.refusal(bearer("rfx_sess_x"))))


def test_until_it_is_known_what_ended_lately_nobody_gets_in_and_all_are_told_to_come_again(gate: Gate) -> None:
    gate.source.is_catching_up = True
    assert gate.sessions.is_waiting
    with pytest.raises(UnavailableError) as refused:
        gate.admit(bearer(issued()))
    assert (refused.value.code, refused.value.retry_after_s) == ("warming_up", 1.0)
    assert gate.refusal().code == "unauthorized"

    gate.source.is_catching_up = False
    assert gate.admit(bearer(issued())).session_id == "sess_1"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (bearer(""),),
        (bearer("rfx_sess_"),),
        (bearer("rfx_" + "0" * 36),),
        (bearer(issued(STRANGER)),),
        (bearer(issued(NEXT)),),
        (bearer(issued()), bearer(issued())),
        (bearer(issued()), (b"x-reflex-key", issued(session_id="sess_2").encode())),
        ((b"authorization", b"Basic " + issued().encode()),),
        (bearer(issued() + "é"),),
        (bearer("rfx_sess_" + "A" * 100_000),),
    ],
)  # fmt: skip
def test_who_has_none_and_who_made_one_up_get_the_same_answer(
    gate: Gate, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    nobody, refused = gate.refusal(), gate.refusal(*headers)

    assert (refused.code, refused.status) == ("unauthorized", 401)
    assert (refused.message, refused.context) == (nobody.message, nobody.context)


def test_a_session_is_refused_from_the_moment_at_which_its_credential_ends(gate: Gate) -> None:
    token = issued()
    for before_ms in (2, 1):
        gate.now_ms = NOW_MS + LIFE_MS - before_ms
        gate.admit(bearer(token))
    for after_ms in (0, 1, LIFE_MS):
        gate.now_ms = NOW_MS + LIFE_MS + after_ms
        assert gate.refusal(bearer(token)).code == "session_expired"


def test_a_key_that_ends_takes_its_credentials_with_it(clock: Clock) -> None:
    gate = Gate(Source(Keyset.of([KEY.as_public(NOW_MS + 1000)])), clock)
    gate.admit(bearer(issued()))
    gate.now_ms = NOW_MS + 1000
    gate.admit(bearer(issued()))
    gate.now_ms = NOW_MS + 1001
    assert gate.refusal(bearer(issued())).code == "session_expired"


def test_a_session_that_ended_is_refused_though_its_credential_lives(gate: Gate) -> None:
    gate.admit(bearer(issued()))
    gate.ended.note("sess_1")

    for token in (issued(), issued(mode="apply_actions")):  # seen before, and not
        refused = gate.refusal(bearer(token))
        assert (refused.code, refused.status) == ("session_expired", 401)
    gate.admit(bearer(issued(session_id="sess_2")))


def test_a_session_of_another_policy_is_told_so(gate: Gate) -> None:
    refused = gate.refusal(bearer(issued(model_version="other@1")), served=(OTHER_HASH,))

    assert (refused.code, refused.status) == ("session_mode", 403)
    assert refused.context == {"model_version": "other@1"}
    gate.admit(bearer(issued()), served=(OTHER_HASH, HASH))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The credentials whose signatures were checked, in order."""
    checked: list[str] = []

    def counted(token: str, keyset: Keyset, at_ms: int) -> session_credential.Claims:
        checked.append(token)
        return session_credential.read(token, keyset, at_ms)

    monkeypatch.setattr(module, "read", counted)
    return checked


def test_a_signature_is_checked_once_as_long_as_the_keys_stay(gate: Gate, checked: list[str]) -> None:
    for _ in range(5):
        gate.admit(bearer(issued()))
    assert len(checked) == 1

    gate.source.keyset = Keyset.of([KEY.as_public(), NEXT.as_public()])
    gate.admit(bearer(issued()))
    assert len(checked) == 2

    gate.source.keyset = Keyset.of([NEXT.as_public()])
    assert gate.refusal(bearer(issued())).code == "unauthorized"


def test_what_was_checked_is_kept_in_bounds_and_what_is_used_stays(
    gate: Gate, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_VERIFIED", 10)
    used = issued()
    gate.admit(bearer(used))
    for number in range(50):
        gate.admit(bearer(issued(session_id=f"other_{number}")))
        gate.admit(bearer(used))

    assert len(gate.sessions._verified) == 10
    assert checked.count(used) == 1


def test_a_key_that_is_new_is_asked_for(gate: Gate) -> None:
    gate.source.renewed = Keyset.of([KEY.as_public(), NEXT.as_public()])
    gate.admit(bearer(issued()))
    assert gate.source.renewals == 0

    gate.admit(bearer(issued(NEXT)))
    assert gate.source.renewals == 1
    assert gate.refusal(bearer(issued(SigningKey.generate("k3")))).code == "unauthorized"


def test_before_any_key_is_known_a_credential_is_told_to_come_again(clock: Clock) -> None:
    gate = Gate(Source(None), clock)
    assert gate.sessions.is_waiting
    with pytest.raises(UnavailableError) as caught:
        gate.admit(bearer(issued()))
    assert (caught.value.code, caught.value.retry_after_s) == ("warming_up", 1.0)

    gate.source.keyset = Keyset.of([KEY.as_public()])
    assert not gate.sessions.is_waiting
    gate.admit(bearer(issued()))


def test_nothing_of_a_credential_is_in_what_is_said(gate: Gate) -> None:
    expired = issued(issued_at_ms=NOW_MS - LIFE_MS)
    for token in (issued(STRANGER), expired, issued(model_hash=OTHER_HASH)):
        refused = gate.refusal(bearer(token))
        assert token[9:40] not in f"{refused}{refused.context}{refused.__cause__!r}"
        assert claims().session_id not in str(refused)
