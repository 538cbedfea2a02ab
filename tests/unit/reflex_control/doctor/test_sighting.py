"""What is seen of a frontend: its clock within the time that its answer took, and every fault of it in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from reflex.errors import SetupError, TransportError
from reflex.outbound import Answered
from reflex.signed.moments import iso_of
from reflex_control.doctor import sighting
from reflex_control.doctor.sighting import Looking, see
from unit.reflex_control.doctor.doctor_scene import HASH, NOON_MS, Frontend

TOOK_S = 1.5


@dataclass
class Stand:
    """In the place of an `Asker`: each answer takes its time by the clock of whoever asks, and none by a real one."""

    one: Frontend
    fails: Mapping[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str] | None]] = field(default_factory=list)

    def __call__(self, _url: str, **_how: Any) -> Stand:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answered:
        self.asked.append((path, headers))
        if path in self.fails:
            raise self.fails[path]
        status, told = self.one.answer(path, (headers or {}).get("Authorization"))
        return Answered(status, json.dumps(told).encode(), 100.0, 100.0 + TOOK_S)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(Frontend(lambda: NOON_MS))
    monkeypatch.setattr(sighting, "Asker", made)
    return made


def seen(url: str = "http://gpu-box:8000") -> sighting.Sighting:
    (found,) = see([url], Looking("rfx_sess_1", HASH, lambda: NOON_MS))
    return found


@pytest.mark.parametrize("ahead_ms", [-5_000, 0, 700, 5_000])
def test_its_clock_was_read_some_time_between_the_question_and_the_answer(stand: Stand, ahead_ms: int) -> None:
    stand.one.health["time"] = iso_of(NOON_MS + ahead_ms)
    # Its time is cut off to whole milliseconds, so it may be one more.
    assert seen().skew_ms == (ahead_ms - 1_500, ahead_ms + 1)


def test_a_credential_is_shown_only_after_a_refusal_and_only_for_the_configuration(stand: Stand) -> None:
    assert seen().is_open is False
    assert stand.asked == [("/health", None), ("/config", None), ("/config", {"Authorization": "Bearer rfx_sess_1"})]
    stand.asked.clear()
    stand.one.is_guarded = False
    assert seen().is_open is True
    assert stand.asked == [("/health", None), ("/config", None)]


def test_what_was_seen_before_it_fell_silent_is_kept(stand: Stand) -> None:
    stand.fails = {"/config": TransportError("it broke off")}
    found = seen()
    assert (found.problem, found.policy, found.is_refused) == ("it broke off", None, False)
    assert found.health is not None
    assert found.skew_ms is not None


def test_an_address_that_is_never_asked_is_told_apart_from_one_that_is_silent(stand: Stand) -> None:
    for failure, is_refused in ((SetupError("no"), True), (TransportError("no"), False)):
        stand.fails = {"/health": failure}
        found = seen()
        assert (found.problem, found.health, found.skew_ms, found.is_refused) == ("no", None, None, is_refused)


@pytest.mark.parametrize("status", [300, 308, 399])
def test_a_redirect_is_told_as_one_and_other_statuses_are_not(stand: Stand, status: int) -> None:
    stand.one.status["/health"] = status
    assert str(seen().problem).endswith(f"status {status}, which is not followed")
    stand.one.status["/health"] = 400
    assert str(seen().problem).endswith("status 400")


def test_one_that_says_that_it_is_not_ready_is_heard_and_one_that_fails_is_not(stand: Stand) -> None:
    stand.one.health = {"status": "warming", "model_loaded": False}
    stand.one.status["/health"] = 503
    found = seen()
    assert found.problem is None
    assert found.health is not None
    assert found.health.is_ready is False
    for status in (201, 500, 502, 504):
        stand.one.status["/health"] = status
        assert str(seen().problem).endswith(f"status {status}")


def test_nobody_is_asked_where_nobody_is_named() -> None:
    assert see([], Looking("rfx_sess_1", HASH, lambda: NOON_MS)) == []
