"""The fixed beginnings of the control plane's errors, and what stands behind them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from reflex.client import MockTransport
from reflex.control import ControlClient
from reflex.control.errors import (
    DeploymentNotReadyError,
    KeyRejectedError,
    SessionGoneError,
    SessionInDryRunError,
    in_words_of_the_control_plane,
)
from reflex.errors import ServiceError, service_error
from unit.reflex.control.conftest import Connect

CHECKS = [
    {"id": "act_reachable", "status": "fail", "message": "nothing answers", "fix": "reflex serve"},
    {"id": "trained", "status": "pass", "message": "trained", "fix": None},
    {"id": "clock", "status": "fail", "message": "9 s off", "fix": None},
]


def said(code: str, status: int, **context: object) -> ServiceError:
    return service_error(code, "the server's words", status=status, request_id="req_1", context=context)


@pytest.mark.parametrize(
    ("code", "status", "kind", "beginning", "names"),
    [
        ("unauthorized", 401, KeyRejectedError,
         "401 Unauthorized: the key was found but the server rejected it", "'reflex login'"),
        ("session_mode", 403, SessionInDryRunError,
         "Session is still in dry_run", "'reflex sessions promote sess_9 --to apply_actions'"),
        ("session_ended", 410, SessionGoneError, "Session expired or already closed", "Start a fresh session"),
        ("session_expired", 401, SessionGoneError, "Session expired or already closed", "Start a fresh session"),
        ("deployment_not_ready", 409, DeploymentNotReadyError, "Deployment not ready for apply_actions", "server's"),
    ],
)  # fmt: skip
def test_an_error_begins_as_documented_and_says_what_to_do(
    connect: Connect, code: str, status: int, kind: type[ServiceError], beginning: str, names: str
) -> None:
    with pytest.raises(kind) as raised:
        connect([said(code, status, sessionId="sess_9")]).promote_session("sess_9")

    assert str(raised.value).startswith(beginning)
    assert names in str(raised.value)
    assert (raised.value.code, raised.value.status, raised.value.request_id) == (code, status, "req_1")


def test_a_deployment_that_is_not_ready_names_each_failed_check_with_its_fix() -> None:
    error = in_words_of_the_control_plane(said("deployment_not_ready", 409, checks=CHECKS))

    assert str(error).splitlines() == [
        "Deployment not ready for apply_actions:",
        "  act_reachable: nothing answers -> reflex serve",
        "  clock: 9 s off",
    ]
    assert error.context["checks"] == CHECKS


@pytest.mark.parametrize("checks", [None, "none", [], [7, {"id": "x"}], [{"status": "pass"}]])
def test_checks_of_another_form_leave_the_servers_own_words(checks: object) -> None:
    error = in_words_of_the_control_plane(said("deployment_not_ready", 409, checks=checks))

    assert str(error) == "Deployment not ready for apply_actions: the server's words"


def test_what_the_control_plane_says_in_those_words_is_not_said_twice() -> None:
    told = "Deployment not ready for apply_actions: its last check is missing"
    error = service_error("deployment_not_ready", told, context={"checks": []})

    assert str(in_words_of_the_control_plane(error)) == told


@pytest.mark.parametrize(
    ("code", "status", "context"),
    [("forbidden", 403, {"scope": "promote"}), ("robot_busy", 409, {"sessionId": "sess_1"}), ("not_found", 404, {})],
)
def test_every_other_error_is_as_the_server_said_it(code: str, status: int, context: Mapping[str, Any]) -> None:
    error = said(code, status, **context)

    assert in_words_of_the_control_plane(error) is error


def test_such_an_error_survives_the_way_to_another_process() -> None:
    error = in_words_of_the_control_plane(said("unauthorized", 401))
    twin = copy.copy(error)  # by the same protocol as pickling

    assert (type(twin), str(twin), twin.code) == (KeyRejectedError, str(error), "unauthorized")


def test_where_no_key_was_sent_none_was_rejected() -> None:
    refusal = said("unauthorized", 401)

    assert in_words_of_the_control_plane(refusal, with_key=False) is refusal
    transport = MockTransport([refusal])
    with ControlClient(transport=transport) as client, pytest.raises(ServiceError) as refused:
        client.claim_pairing_token("rfx_pair_old")
    assert not isinstance(refused.value, KeyRejectedError)
