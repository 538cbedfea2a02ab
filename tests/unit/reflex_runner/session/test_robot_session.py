"""A session is kept alive, is obeyed at once, and ends with its run; what it cannot say does not hold the run up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reflex.errors import ReflexError, ServiceError, TransportError, service_error
from reflex_runner.config.sections import Mode, SessionConfig
from reflex_runner.session.robot_session import RobotSession, authorize
from support.runner.plane import Plane
from support.waiting import HANGS_S, wait_until

SETTINGS = SessionConfig(deployment_id="deploy_1", robot_id="robot_1", heartbeat_interval_s=0.05)


@contextlib.contextmanager
def driven(
    plane: Plane, mode: Mode = "apply_actions", settings: SessionConfig = SETTINGS
) -> Iterator[tuple[RobotSession, threading.Event]]:
    told = threading.Event()
    session = authorize(plane, settings, mode)
    session.follow(lambda: {"steps": 7, "applied_steps": 3}, told.set)
    with session:
        yield session, told


def test_it_beats_with_the_counts_of_the_run_and_renews_its_credential() -> None:
    plane = Plane()
    with driven(plane) as (session, _):
        assert (session.mode, session.act_url, session.session_id) == ("apply_actions", "http://a:1", "sess_1")
        assert session.act_urls == ("http://a:1", "http://b:1")
        first = session.credential()
        wait_until(lambda: len(plane.beats) > 3, "it beats")
        assert session.credential() != first
    assert plane.beats[0] == {
        "robot_id": "robot_1", "session_id": "sess_1", "deployment_id": "deploy_1", "mode": "apply_actions", "steps": 7,
        "applied_steps": 3,
    }  # fmt: skip
    assert plane.closed == ["sess_1: runner_ended"]


def test_a_lower_mode_counts_at_once_and_the_run_is_told() -> None:
    plane = Plane()
    with driven(plane) as (session, told):
        plane.mode = "dry_run"
        assert told.wait(60)
        assert (session.mode, session.over) == ("dry_run", None)


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        ({"over": {"status": "closed", "reason": "operator"}}, "it is closed: operator"),
        ({"fault": service_error("unauthorized", "no such key")}, "no such key"),
        ({"fault": service_error("not_found", "no such robot")}, "no such robot"),
        ({"fault": service_error("session_ended", "over")}, "over"),
    ],
)
def test_a_session_that_ends_applies_nothing_more_and_is_not_closed_again(ending: dict[str, Any], why: str) -> None:
    plane = Plane()
    with driven(plane) as (session, told):
        for name, value in ending.items():
            setattr(plane, name, value)
        assert told.wait(60)
        assert (session.mode, session.over) == ("dry_run", why)
    assert plane.closed == []


@pytest.mark.parametrize("fault", [TransportError("gone"), service_error("store_unavailable", "full")])
def test_a_control_plane_that_is_away_for_a_while_ends_nothing(fault: ReflexError) -> None:
    plane = Plane()
    with driven(plane) as (session, told):
        plane.fault = fault
        beats = len(plane.beats)
        wait_until(lambda: len(plane.beats) > beats + 2, "it goes on trying")
        assert (session.mode, told.is_set()) == ("apply_actions", False)


def test_a_control_plane_that_was_silent_is_asked_for_nothing_but_the_end() -> None:
    plane = Plane()
    with driven(plane) as (session, _):
        plane.fault = TransportError("no answer within 10 s")
        session.note_safe_stop("stale_chunk")
        wait_until(lambda: plane.stops, "it was tried")
        beats = len(plane.beats)
        wait_until(lambda: len(plane.beats) > beats, "and found silent")
        session.close("runner_ended")
        asked = len(plane.beats), len(plane.stops)
    assert plane.closed[0] == "sess_1: runner_ended"
    session.close("again")
    assert (len(plane.beats), len(plane.stops)) == asked


def test_a_safe_stop_is_reported_without_waiting_and_once() -> None:
    plane = Plane()
    with driven(plane) as (session, _):
        session.note_safe_stop("error: the bus\nis gone\x00")
        wait_until(lambda: plane.stops, "it is reported")
    assert plane.stops == [r"sess_1: error: the bus is gone\x00"]


def test_a_safe_stop_at_the_very_end_is_reported_before_the_session_is_closed() -> None:
    plane = Plane()

    def fails() -> None:
        with driven(plane) as (session, _):
            session.note_safe_stop("error")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert plane.stops == ["sess_1: error"]
    assert plane.closed == ["sess_1: runner_failed"]


def test_who_may_not_promote_begins_in_dry_run_and_waits_to_be_promoted() -> None:
    plane = Plane(refusal=service_error("forbidden", "scope promote is missing"), mode="dry_run")
    with driven(plane) as (session, told):
        assert [each["mode"] for each in plane.asked] == ["apply_actions", "dry_run"]
        before = session.mode
        plane.mode = "apply_actions"
        assert told.wait(60)
        assert [before, session.mode] == ["dry_run", "apply_actions"]


def test_a_deployment_that_is_not_ready_is_refused_in_its_own_words() -> None:
    plane = Plane(refusal=service_error("deployment_not_ready", "units: they differ"))
    with pytest.raises(ServiceError, match="units: they differ"):
        authorize(plane, SETTINGS, "apply_actions")
    assert len(plane.asked) == 1


def test_an_answer_of_another_version_is_no_answer_and_the_session_goes_on_asking() -> None:
    plane = Plane()
    with driven(plane) as (session, told):
        plane.leaves_out = {"serverTime"}
        beats = len(plane.beats)
        wait_until(lambda: len(plane.beats) > beats + 2, "it goes on trying")
        assert (session.mode, told.is_set()) == ("apply_actions", False)


def test_a_lease_counts_from_before_the_heartbeat_was_asked_not_from_its_late_answer() -> None:
    plane, clock = Plane(), Hands()
    session = RobotSession(plane, plane.authorize_session(mode="apply_actions"), 10.0, clock=clock)
    plane.on_beat = lambda: clock.turn(100.0)
    session._beat()
    clock.turn(19.0)
    before = session.mode
    clock.turn(1.0)
    assert [before, session.mode] == ["apply_actions", "dry_run"]


@pytest.mark.parametrize(("said", "every_s"), [(0, 0.5), (-3.0, 0.5), (4, 4.0), (1e9, 10.0)])
def test_a_control_plane_says_how_often_within_reason(said: float, every_s: float) -> None:
    grant = Plane().authorize_session(mode="dry_run") | {"heartbeatSeconds": said}
    assert RobotSession(Plane(), grant, 10.0)._identity.every_s == every_s


@pytest.mark.parametrize("wrong", [{"heartbeatSeconds": "often"}, {"heartbeatSeconds": float("nan")}])
def test_a_grant_that_is_none_is_refused_in_our_words(wrong: dict[str, Any]) -> None:
    with pytest.raises(TransportError, match="is it of this version"):
        RobotSession(Plane(), Plane().authorize_session(mode="dry_run") | wrong, 10.0)


def test_a_grant_without_a_server_names_none() -> None:
    assert RobotSession(Plane(act_url=[]), Plane(act_url=[]).authorize_session(mode="dry_run"), 10.0).act_url is None


class Hands:
    """Of a clock."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def turn(self, seconds: float) -> None:
        self.now_s += seconds

    def sleep_until(self, moment: float) -> None:
        self.now_s = max(self.now_s, moment)


SLOW = replace(SETTINGS, heartbeat_interval_s=20.0)


@pytest.mark.parametrize(
    ("event", "mode", "over"),
    [
        ({"status": "closed", "mode": "apply_actions", "reason": "night"}, "dry_run", "it is closed: night"),
        ({"status": "expired", "mode": "apply_actions"}, "dry_run", "it is expired"),
        ({"status": "dry_run", "mode": "dry_run"}, "dry_run", None),
    ],
)
def test_what_an_event_takes_away_counts_at_once_though_no_heartbeat_is_answered(
    event: dict[str, Any], mode: Mode, over: str | None
) -> None:
    plane = Plane()
    with driven(plane, settings=SLOW) as (session, told):
        plane.fault = TransportError("the control plane hangs")
        plane.feed.said.put({"sessionId": "sess_1", **event})
        assert told.wait(HANGS_S)
        assert (session.mode, session.over) == (mode, over)


def test_an_event_gives_no_leave_but_a_heartbeat_at_once_does() -> None:
    plane = Plane(mode="dry_run")
    with driven(plane, settings=SLOW) as (session, told):
        assert session.mode == "dry_run"
        told.clear()
        plane.mode = "apply_actions"
        plane.feed.said.put({"sessionId": "sess_1", "status": "apply_actions", "mode": "apply_actions"})
        assert told.wait(HANGS_S)
        assert len(plane.beats) == 2
        assert mode_of(session) == "apply_actions"
    assert plane.feed.is_released


def test_events_of_other_sessions_are_none_of_this_one() -> None:
    plane = Plane()
    with driven(plane, settings=SLOW) as (session, _):
        plane.feed.said.put({"sessionId": "sess_2", "status": "closed"})
        wait_until(plane.feed.said.empty, "it was heard")
        assert (session.mode, len(plane.beats)) == ("apply_actions", 1)


def mode_of(session: RobotSession) -> str:
    return session.mode
