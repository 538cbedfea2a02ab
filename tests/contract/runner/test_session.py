"""A robot's session at a real control plane: promoted it may move, closed it may not, its stops are on the record."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reflex.control import ControlClient
from reflex.control.errors import DeploymentNotReadyError
from reflex_runner.config.sections import SessionConfig
from reflex_runner.session.robot_session import RobotSession, authorize
from support.outside.control_plane import ControlProcess, prepared_store, running_control
from support.outside.lab import PASSED, Lab
from support.promise import Promise
from support.waiting import HANGS_S, wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("control") / "data"


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[Lab]:
    with prepared_store(folder) as (ours, _):
        yield Lab(ours)


@pytest.fixture(scope="module")
def control(folder: Path, lab: Lab) -> Iterator[ControlProcess]:
    assert lab.schema_id
    with running_control(folder) as made:
        yield made


@pytest.fixture
def client(lab: Lab, control: ControlProcess) -> Iterator[ControlClient]:
    with ControlClient(control.base_url, api_key=lab.key.secret) as made:
        yield made


def settings(lab: Lab, name: str) -> SessionConfig:
    return SessionConfig(
        deployment_id=lab.deployment(name), robot_id=lab.robot(name, paired=True), heartbeat_interval_s=0.1
    )


def begun(client: ControlClient, wish: SessionConfig, told: threading.Event) -> RobotSession:
    session = authorize(client, wish, "dry_run")
    session.follow(lambda: {"steps": 60, "applied_steps": 0, "safe_stops": 0}, told.set)
    return session


def mode_of(session: RobotSession) -> str:
    return session.mode


def test_a_promoted_session_may_move_and_a_closed_one_may_not(lab: Lab, client: ControlClient) -> None:
    told, wish = threading.Event(), settings(lab, "promoted")
    with begun(client, wish, told) as session:
        assert mode_of(session) == "dry_run"
        lab.doctor(str(wish.deployment_id), PASSED)
        client.promote_session(session.session_id)
        assert told.wait(HANGS_S)
        assert mode_of(session) == "apply_actions"

        told.clear()
        session.note_safe_stop("stale_chunk")
        wait_until(lambda: client.get_session(session.session_id)["safeStops"] == 1, "the stop is on the record")
        client.close_session(session.session_id, reason="night")
        assert told.wait(HANGS_S)
        assert (session.mode, session.over) == ("dry_run", "it is closed: night")

    receipts = client.list_receipts(session_id=session.session_id)["receipts"]
    assert [each["kind"] for each in receipts] == [
        "session_authorized", "session_promoted", "safe_stop", "session_closed",
    ]  # fmt: skip


def test_a_run_that_ends_closes_its_session_with_its_counts(lab: Lab, client: ControlClient) -> None:
    with begun(client, settings(lab, "ended"), threading.Event()) as session:
        pass
    found = client.get_session(session.session_id)
    assert (found["status"], found["reason"], found["steps"]) == ("closed", "runner_ended", 60)


def test_a_deployment_that_was_never_checked_is_no_leave_to_move(lab: Lab, client: ControlClient) -> None:
    with pytest.raises(DeploymentNotReadyError, match="Deployment not ready for apply_actions"):
        authorize(client, settings(lab, "unchecked"), "apply_actions")


def test_a_robots_own_key_waits_for_somebody_who_may_promote(lab: Lab, control: ControlProcess) -> None:
    wish = settings(lab, "own key")
    key = lab.tenant.key("sessions", robot_id=wish.robot_id).secret
    own = SessionConfig(deployment_id=wish.deployment_id, heartbeat_interval_s=0.1)
    with ControlClient(control.base_url, api_key=key) as client, begun(client, own, threading.Event()) as session:
        assert session.mode == "dry_run"


def test_a_close_is_heard_within_a_second_though_no_heartbeat_is_due(
    lab: Lab, client: ControlClient, promise: Promise
) -> None:
    told = threading.Event()
    wish = replace(settings(lab, f"heard {secrets.token_hex(4)}"), heartbeat_interval_s=20.0)
    with begun(client, wish, told) as session:
        wait_until(lambda: session.is_heard, "the events are heard")
        began_s = time.monotonic()
        client.close_session(session.session_id, reason="night")
        assert told.wait(HANGS_S)
        took_s = time.monotonic() - began_s
        assert session.over == "it is closed: night"
    promise("a session that is closed is heard of by its robot within a second", took_s, at_most=1.0)
