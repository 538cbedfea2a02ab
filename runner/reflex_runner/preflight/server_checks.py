"""Whether the server answers, and what it serves is for this robot; and whether the control plane would let it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from reflex.control.objects import DoctorReport
from reflex.errors import ReflexError, UnauthorizedError
from reflex.readiness.checking import Check, failed, passed, skipped, warned
from reflex_runner.config.sections import Mode, RobotConfig
from reflex_runner.preflight.policy_checks import policy_checks
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import Served

__all__ = ["Doctor", "Look", "server_checks", "session_checks"]

WORST: Final = ("fail", "warn", "skip", "pass")

Look = Callable[[], Served | None]
"""Asks the server; None for one of another make."""


class Doctor(Protocol):
    """What is asked of `reflex.control.ControlClient`."""

    def run_deployment_doctor(self, deployment_id: str) -> DoctorReport: ...


def server_checks(look: Look, config: RobotConfig, robot: RobotFacts | None) -> list[Check]:
    """The server, and each thing in which its policies and the robot must agree."""
    if config.target.kind == "expert":
        return [skipped("server", "the simulator's own expert answers")]
    try:
        served = look()
    except UnauthorizedError as exc:
        if config.session.deployment_id is None:
            return [failed("server", str(exc), "set REFLEX_API_KEY to a key of this server")]
        return [skipped("server", "it answers sessions alone; what it serves is looked at when one begins")]
    except ReflexError as exc:
        return [failed("server", str(exc), "start `reflex serve`, or correct target.url")]
    if served is None:
        return [skipped("server", "it is of another make, and says nothing of its policy")]
    return [_ready(served), *_of_policies(served, config, robot)]


def session_checks(doctor: Doctor | None, config: RobotConfig, mode: Mode) -> list[Check]:
    """What the doctor of the deployment finds; in dry_run nothing of it keeps the run from beginning."""
    identity = config.session.deployment_id
    if identity is None or doctor is None:
        return [skipped("session", "there is no deployment_id: the server is asked without the control plane")]
    try:
        report = doctor.run_deployment_doctor(identity)
    except ReflexError as exc:
        return [failed("session", str(exc), "log in with `reflex login`, or correct session.deployment_id")]
    wrong = [each for each in report["checks"] if each["status"] == "fail"]
    if not wrong:
        return [passed("session", f"deployment {identity} is ready")]
    told = "; ".join(f"{each['id']}: {each['message']}" for each in wrong)
    if mode == "dry_run":
        return [warned("session", f"not ready for apply_actions yet: {told}", f"reflex doctor {identity}")]
    return [failed("session", f"Deployment not ready for apply_actions: {told}", f"reflex doctor {identity}")]


def _ready(served: Served) -> Check:
    names = " and ".join(each.name for each in served.policies)
    if served.status == "ready":
        return passed("server", f"{served.url} serves {names}")
    return warned("server", f"{served.url} serves {names} and is {served.status}", "wait until it is ready")


def _of_policies(served: Served, config: RobotConfig, robot: RobotFacts | None) -> list[Check]:
    """Of each check the worst that any policy makes of it."""
    if robot is None:
        return []
    each = [policy_checks(policy, config, robot) for policy in served.policies]
    return [min(same, key=lambda check: WORST.index(check.status)) for same in zip(*each, strict=True)]
