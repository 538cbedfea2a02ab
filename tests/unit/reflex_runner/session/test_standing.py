"""What a session allows ends with its credential, and by every word of the control plane that ends it."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.errors import TransportError
from reflex_runner.session.standing import Standing, after_beat, after_event, granted

GRANT = {"mode": "apply_actions", "credential": "first"}
ANSWER = {
    "mode": "apply_actions", "credential": "second", "session": None, "serverTime": "2026-01-02T03:04:05.000Z",
    "credentialExpiresAt": "2026-01-02T03:06:05.000Z",
}  # fmt: skip


def test_a_grant_counts_until_a_heartbeat_is_overdue() -> None:
    standing = granted(GRANT, 100.0)
    assert [standing.mode_at(now) for now in (100.0, 129.9, 130.0)] == ["apply_actions", "apply_actions", "dry_run"]


def test_a_heartbeat_renews_it_for_as_long_as_the_control_planes_own_clock_says() -> None:
    renewed = after_beat(granted(GRANT, 100.0), ANSWER, 110.0)
    assert (renewed.credential, renewed.mode_at(229.9), renewed.mode_at(230.0)) == (
        "second",
        "apply_actions",
        "dry_run",
    )
    assert "expired" in (renewed.why_over(230.0) or "")


def test_an_answer_lowers_the_mode_and_raises_it_again() -> None:
    lowered = after_beat(granted(GRANT, 0.0), ANSWER | {"mode": "dry_run"}, 1.0)
    assert lowered.mode_at(1.0) == "dry_run"
    assert lowered.why_over(1.0) is None
    assert after_beat(lowered, ANSWER, 2.0).mode_at(2.0) == "apply_actions"


@pytest.mark.parametrize("mode", ["dry_run", "paused", "", None, "APPLY_ACTIONS"])
def test_no_other_word_lets_a_robot_move(mode: Any) -> None:
    assert after_beat(granted(GRANT, 0.0), ANSWER | {"mode": mode}, 1.0).mode_at(1.0) == "dry_run"


@pytest.mark.parametrize(
    ("session", "why"),
    [
        ({"status": "closed", "reason": "night"}, "it is closed: night"),
        ({"status": "expired", "reason": None}, "it is expired"),
        (None, "the control plane knows it no more"),
    ],
)
def test_a_session_without_a_credential_is_over_for_good(session: Any, why: str) -> None:
    over = after_beat(granted(GRANT, 0.0), ANSWER | {"credential": None, "session": session}, 1.0)
    assert (over.over, over.mode_at(1.0)) == (why, "dry_run")
    assert after_beat(over, ANSWER, 2.0) is over
    assert over.ended("another reason").over == why


@pytest.mark.parametrize("broken", [{"credential": 3}, {"credentialExpiresAt": "soon"}, {"serverTime": None}])
def test_what_is_no_answer_of_a_control_plane_changes_nothing(broken: dict[str, Any]) -> None:
    with pytest.raises(TransportError, match="is it of this version"):
        after_beat(granted(GRANT, 0.0), ANSWER | broken, 1.0)


def test_a_credential_is_not_shown() -> None:
    assert "first" not in repr(Standing("dry_run", "first", 0.0))


@pytest.mark.parametrize("missing", ["mode", "serverTime", "credentialExpiresAt"])
def test_an_answer_that_lacks_something_is_as_good_as_none(missing: str) -> None:
    answer = {name: value for name, value in ANSWER.items() if name != missing}
    with pytest.raises(TransportError, match=f"has no {missing}; is it of this version"):
        after_beat(granted(GRANT, 0.0), answer, 1.0)


def test_no_control_plane_vouches_for_more_than_ten_minutes() -> None:
    forever = after_beat(granted(GRANT, 0.0), ANSWER | {"credentialExpiresAt": "9999-01-01T00:00:00Z"}, 1.0)
    assert [forever.mode_at(now) for now in (600.9, 601.0)] == ["apply_actions", "dry_run"]


def test_an_event_takes_leave_away_and_never_gives_it() -> None:
    live, dry = Standing("apply_actions", "c", 100.0), Standing("dry_run", "c", 100.0)
    assert after_event(live, {"status": "closed", "reason": "night"}).over == "it is closed: night"
    assert after_event(live, {"status": "dry_run", "mode": "dry_run"}).mode == "dry_run"
    assert after_event(live, {"status": "apply_actions", "mode": "apply_actions"}) is live
    assert after_event(live, {}).mode == "dry_run", "what cannot be read is no leave"
    assert after_event(dry, {"status": "apply_actions", "mode": "apply_actions"}) is dry
    over = live.ended("first")
    assert after_event(over, {"status": "closed"}) is over
