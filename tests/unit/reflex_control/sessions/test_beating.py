"""Heartbeats keep a session alive and carry its credential; whatever ends it, it never comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from reflex.errors import ServiceError
from reflex.signed.moments import iso_of
from reflex.signed.session_credential import read
from reflex_control.sessions.beating import COUNTS, note_safe_stop, sweep_all
from reflex_control.sessions.life import sweep
from reflex_control.signing_keys import keyset
from reflex_control.store.tables import robot, session
from unit.reflex_control.conftest import new_actor
from unit.reflex_control.sessions.session_scene import Scene

MINUTE_S = 60
LOST_S = 30


def test_a_heartbeat_renews_the_session_and_its_credential(scene: Scene) -> None:
    grant = scene.authorize()
    scene.after(20)
    answer = scene.beat(session_id=grant["sessionId"], steps=40, latency_ms=12.5)

    with scene.plane.reading() as connection:
        claims = read(answer["credential"], keyset(connection), scene.at_ms)
    assert claims.issued_at_ms == scene.at_ms
    assert answer["session"]["steps"] == 40
    assert answer["session"]["expiresAt"] > grant["expiresAt"]


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
def test_counts_never_go_back(scene: Scene, count: str) -> None:
    identity = scene.authorize()["sessionId"]
    for told in (50, 40, 0):
        report: dict[str, Any] = {count: told}
        scene.beat(session_id=identity, **report)
        with scene.plane.reading() as connection:
            assert connection.scalar(select(session.c[count])) == 50


def test_a_session_whose_heartbeats_are_lost_expires_and_stays_so(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    scene.beat(session_id=identity)
    scene.after(30)
    sweep_all(scene.plane)

    answer = scene.beat(session_id=identity)
    assert (answer["session"]["status"], answer["credential"], answer["mode"]) == ("expired", None, "dry_run")
    assert answer["session"]["reason"] == "heartbeats were lost"
    assert scene.kinds()[-1] == "session_expired"
    assert scene.authorize()["sessionId"] != identity


def test_a_session_that_never_beat_lives_half_an_hour(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    scene.after(29 * MINUTE_S)
    sweep_all(scene.plane)
    assert scene.session(identity)["status"] == "dry_run"
    scene.after(MINUTE_S)
    sweep_all(scene.plane)
    assert scene.session(identity)["status"] == "expired"


def test_a_promoted_session_that_never_beat_ends_as_one_that_stopped_beating(scene: Scene) -> None:
    scene.rehearsed()
    scene.beat()
    identity = scene.authorize(mode="apply_actions")["sessionId"]
    scene.after(29)
    scene.beat()  # the robot is there, but says nothing of this session
    sweep_all(scene.plane)
    assert scene.session(identity)["status"] == "apply_actions"

    scene.after(1)
    sweep_all(scene.plane)
    assert (scene.session(identity)["status"], scene.session(identity)["reason"]) == ("expired", "heartbeats were lost")


def test_no_heartbeat_carries_a_session_beyond_its_longest_time(scene: Scene) -> None:
    identity = scene.authorize(max_seconds=60)["sessionId"]
    for _ in range(3):
        scene.after(19)
        answer = scene.beat(session_id=identity)
    assert answer["session"]["expiresAt"] == answer["credentialExpiresAt"] == iso_of(scene.at_ms + 3_000)
    scene.after(3)
    assert scene.beat(session_id=identity)["session"]["reason"] == "its longest time is over"


def test_a_write_of_one_organisation_ends_no_session_of_another(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    scene.after(30 * MINUTE_S)
    with scene.plane.writing(new_actor(scene.plane)) as writing:
        sweep(writing)
    assert scene.session(identity)["status"] == "dry_run"

    sweep_all(scene.plane)
    assert (scene.session(identity)["status"], scene.kinds()[-1]) == ("expired", "session_expired")


def test_a_credential_ends_with_its_session(scene: Scene) -> None:
    grant = scene.authorize(max_seconds=60)
    with scene.plane.reading() as connection:
        claims = read(grant["credential"], keyset(connection), scene.at_ms)
    assert claims.expires_at_ms == scene.at_ms + 60_000


def test_what_the_guard_refused_is_summed_up_at_the_end(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    scene.beat(session_id=identity, guard_violations=7, refused_chunks=1)
    closed = scene.close(identity, reason="lunch")

    assert (closed["status"], closed["reason"]) == ("closed", "lunch")
    assert scene.kinds()[-2:] == ["session_closed", "guard_summary"]
    assert scene.close(identity, reason="again")["reason"] == "lunch"
    assert scene.told()[-1]["status"] == "closed"


def test_a_safe_stop_is_counted_and_on_the_record(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    with scene.plane.writing(scene.arm) as writing:
        stopped = note_safe_stop(writing, identity, "no chunk for 1 s")
    assert (stopped.row.safe_stops, scene.kinds()[-1]) == (1, "safe_stop")


def test_after_a_time_in_which_nobody_could_be_heard_each_has_time_to_be_heard_again(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    scene.beat(session_id=identity)
    scene.after(MINUTE_S)
    back_ms = scene.at_ms
    scene.plane = replace(scene.plane, deaf_until=lambda: back_ms)

    scene.after(LOST_S - 1)
    sweep_all(scene.plane)
    scene.beat(robot_id="robot_2", actor=scene.operator)
    assert scene.session(identity)["status"] == "dry_run"
    scene.after(1)
    sweep_all(scene.plane)
    assert scene.session(identity)["reason"] == "heartbeats were lost"


def test_a_safe_stop_counts_once_whether_it_is_reported_or_counted_by_heartbeats(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]

    def report() -> int:
        with scene.plane.writing(scene.arm) as writing:
            return int(note_safe_stop(writing, identity, "no chunk for 1 s").row.safe_stops)

    def beat(count: int) -> int:
        return int(scene.beat(session_id=identity, safe_stops=count)["session"]["safeStops"])

    assert [report(), beat(1)] == [1, 1]
    assert [beat(2), report()] == [2, 2]
    assert [report(), report(), beat(3)] == [3, 4, 4]


def test_a_robot_speaks_for_itself_only(scene: Scene) -> None:
    other = scene.authorize(robot_id="robot_2")["sessionId"]
    with pytest.raises(ServiceError) as refused:
        scene.beat(robot_id="robot_2")
    assert refused.value.code == "not_found"
    with pytest.raises(ServiceError):
        scene.close(other, scene.arm)
    assert scene.beat(session_id=other)["session"] is None


def test_a_robot_that_moves_and_is_calibrated_otherwise_is_driven_no_more(scene: Scene) -> None:
    with scene.database.writing(scene.owner) as connection:
        connection.execute(update(robot).values(calibration_id="calib-1"))
    scene.rehearsed()
    scene.beat(calibration_id="calib-1")
    identity = scene.authorize(mode="apply_actions")["sessionId"]
    same: tuple[dict[str, Any], ...] = ({"calibration_id": "calib-1"}, {})
    for said in same:
        assert scene.beat(session_id=identity, **said)["mode"] == "apply_actions"

    answer = scene.beat(session_id=identity, calibration_id="calib-2")
    assert (answer["mode"], answer["credential"], answer["session"]["status"]) == ("dry_run", None, "closed")
    assert "another calibration" in answer["session"]["reason"]
    assert (scene.kinds()[-1], scene.told()[-1]["status"]) == ("session_closed", "closed")


def test_in_a_dry_run_a_robot_may_say_another_calibration(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    for said in ("calib-1", "calib-2"):
        assert scene.beat(session_id=identity, calibration_id=said)["session"]["status"] == "dry_run"
