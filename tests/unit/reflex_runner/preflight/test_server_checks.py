"""A server that does not answer, and a deployment that is not ready, are said with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.errors import ReflexError, SetupError, TransportError, service_error
from reflex_runner.config.sections import Mode, TargetConfig
from reflex_runner.preflight.served import Served, look_at
from reflex_runner.preflight.server_checks import server_checks, session_checks
from support.runner.served import ARM, config_of, network, robot_yaml, served

DEPLOYED = robot_yaml("image", deployment_id="deploy_1")


def looking(error: ReflexError) -> Any:
    def look() -> Served:
        raise error

    return look


def test_every_check_of_the_policy_is_told_once_the_worst_of_two_policies() -> None:
    other = config_of(cameras=[{"name": "top", "required": True}])
    both = look_at(TargetConfig(), None, network({"a": config_of(), "b": other}))
    checks = {each.id: each for each in server_checks(lambda: both, robot_yaml("image"), ARM)}
    assert checks["cameras"].status == "fail"
    assert checks["embodiment"].status == "pass"
    assert len(checks) == 12


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TransportError("cannot be reached"), "fail", "cannot be reached"),
        (service_error("unauthorized", "no key"), "fail", "no key"),
        (service_error("queue_full", "busy"), "fail", "busy"),
    ],
)
def test_a_server_that_does_not_answer_is_a_failure(error: ReflexError, status: str, said: str) -> None:
    (found,) = server_checks(looking(error), robot_yaml("image"), ARM)
    assert (found.id, found.status, said in found.message) == ("server", status, True)


def test_a_server_for_sessions_alone_is_looked_at_later() -> None:
    (found,) = server_checks(looking(service_error("unauthorized", "no session")), DEPLOYED, ARM)
    assert found.status == "skip"


def test_a_server_of_another_make_and_one_that_warms_up_are_told() -> None:
    (other,) = server_checks(lambda: None, robot_yaml(), ARM)
    assert other.status == "skip"
    warming = Served("http://a", "warming", served().policies)
    assert server_checks(lambda: warming, robot_yaml("image"), None)[0].status == "warn"


class Doctor:
    def __init__(self, *statuses: str, error: ReflexError | None = None) -> None:
        self.statuses, self.error = statuses, error

    def run_deployment_doctor(self, deployment_id: str) -> Any:
        if self.error is not None:
            raise self.error
        each = enumerate(self.statuses)
        checks = [{"id": f"c{at}", "status": status, "message": "m", "fix": None} for at, status in each]
        return {"deploymentId": deployment_id, "checks": checks, "ready": "fail" not in self.statuses}


@pytest.mark.parametrize(
    ("doctor", "mode", "status", "said"),
    [
        (Doctor("pass", "warn"), "apply_actions", "pass", "deploy_1 is ready"),
        (Doctor("pass", "fail"), "apply_actions", "fail", "Deployment not ready for apply_actions: c1: m"),
        (Doctor("pass", "fail"), "dry_run", "warn", "not ready for apply_actions yet: c1: m"),
        (Doctor(error=SetupError("API key is required.")), "dry_run", "fail", "API key is required."),
    ],
)
def test_the_deployments_doctor_has_its_say(doctor: Doctor, mode: Mode, status: str, said: str) -> None:
    (found,) = session_checks(doctor, DEPLOYED, mode)
    assert (found.id, found.status, said in found.message) == ("session", status, True)


def test_without_a_deployment_there_is_nothing_to_ask() -> None:
    (found,) = session_checks(Doctor(error=SetupError("never asked")), robot_yaml(), "dry_run")
    assert found.status == "skip"
