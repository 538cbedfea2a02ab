"""Heartbeats of a live session are events, so whoever watches it sees what it did before."""

from __future__ import annotations

import pytest

from reflex_control.sessions import watching
from reflex_control.sessions.watching import heartbeats_of
from unit.reflex_control.conftest import new_actor
from unit.reflex_control.sessions.session_scene import Scene


def seen(scene: Scene, session_id: str, owner: str | None = None) -> list[tuple[int, float | None]]:
    with scene.plane.reading() as connection:
        found = heartbeats_of(connection, owner or scene.owner, session_id)
    return [(each["steps"], each["latencyMs"]) for each in found]


def test_heartbeats_of_one_session_are_seen_in_their_order_by_its_organisation_alone(scene: Scene) -> None:
    first = scene.authorize()["sessionId"]
    other = scene.authorize(robot_id="robot_2")["sessionId"]
    scene.beat(session_id=first, steps=1, latency_ms=12.5)
    scene.beat(scene.operator, "robot_2", session_id=other, steps=7)
    scene.after(10)
    scene.beat(session_id=first, steps=2)

    assert seen(scene, first) == [(1, 12.5), (2, None)]
    assert seen(scene, other) == [(7, None)]
    assert seen(scene, first, new_actor(scene.plane).organisation_id) == []


def test_the_newest_heartbeats_are_kept_in_view(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_HEARTBEATS", 2)
    session_id = scene.authorize()["sessionId"]
    for steps in (1, 2, 3):
        scene.after(10)
        scene.beat(session_id=session_id, steps=steps)

    assert [steps for steps, _ in seen(scene, session_id)] == [2, 3]


def test_a_heartbeat_without_a_live_session_is_no_event(scene: Scene) -> None:
    session_id = scene.authorize()["sessionId"]
    scene.close(session_id)
    told = scene.told()
    scene.beat(session_id=session_id, steps=1)
    scene.beat()

    assert scene.told() == told


@pytest.mark.slow
def test_of_heartbeats_within_a_second_one_is_an_event_however_fast_they_come(scene: Scene) -> None:
    session_id = scene.authorize()["sessionId"]
    for steps in range(1, 31):
        scene.beat(session_id=session_id, steps=steps)
        scene.after(0.1)

    assert [steps for steps, _ in seen(scene, session_id)] == [1, 11, 21]
    assert scene.session(session_id)["steps"] == 30
