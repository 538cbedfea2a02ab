"""Whether a robot may be moved by a deployment, as far as the store knows: paired, alive, calibrated, rehearsed.

The doctor of a deployment asks it of all robots, and a promotion of its own one once more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from reflex.readiness.checking import Check, failed, passed, skipped, warned
from reflex_control.moments import DAY_MS, SECOND_MS
from reflex_control.registry.robots import HEARTBEAT_LOST_MS
from reflex_control.store.tables import api_key, session

__all__ = ["REHEARSAL_STEPS", "ROBOT_CHECKS", "Fitness", "faults_in_words", "fitness_of"]

REHEARSAL_STEPS: Final = 50
ROBOT_CHECKS: Final = ("robot_paired", "heartbeat_fresh", "calibration", "dry_run_seen")


@dataclass(frozen=True, slots=True)
class Fitness:
    """One robot, and what was found of it: `checks` are those of `ROBOT_CHECKS`, in that order."""

    robot: Row[Any]
    checks: tuple[Check, ...]
    is_driven: bool
    """It has a session of this deployment now."""

    @property
    def faults(self) -> list[Check]:
        return [check for check in self.checks if check.status == "fail"]


def fitness_of(
    connection: Connection, deployed: Row[Any], robots: Sequence[Row[Any]], now_ms: int
) -> Sequence[Fitness]:
    """Of each of the robots, in their order."""
    paired = _paired(connection, deployed.organisation_id, now_ms)
    driven = set(
        connection.scalars(
            select(session.c.robot_id).where(session.c.deployment_id == deployed.id, session.c.ended_at.is_(None))
        )
    )
    rehearsed = _rehearsed(connection, deployed.id, now_ms)
    return [
        Fitness(
            robot,
            (
                _pairing(robot, has_key=robot.id in paired),
                _heartbeat(robot, now_ms),
                _calibration(robot),
                _rehearsal(robot, deployed.id, rehearsed.get(robot.id)),
            ),
            robot.id in driven,
        )
        for robot in robots
    ]


def _paired(connection: Connection, organisation_id: str, now_ms: int) -> set[str]:
    """The robots with a key of their own that holds."""
    keys = select(api_key.c.robot_id).where(
        api_key.c.organisation_id == organisation_id, api_key.c.robot_id.is_not(None), api_key.c.revoked_at.is_(None),
        api_key.c.expires_at.is_(None) | (api_key.c.expires_at > now_ms),
    )  # fmt: skip
    return {str(robot_id) for robot_id in connection.scalars(keys)}


def _rehearsed(connection: Connection, deployment_id: str, now_ms: int) -> Mapping[str, int]:
    """Steps of each robot's longest dry run with this deployment within a day, of which no chunk was refused."""
    steps = func.max(session.c.steps - session.c.applied_steps)
    found = (
        select(session.c.robot_id, steps)
        .where(
            session.c.deployment_id == deployment_id, session.c.refused_chunks == 0,
            session.c.heartbeat_at > now_ms - DAY_MS,
        )
        .group_by(session.c.robot_id)
    )  # fmt: skip
    return {robot_id: int(longest) for robot_id, longest in connection.execute(found)}


def _pairing(robot: Row[Any], *, has_key: bool) -> Check:
    if has_key:
        return passed("robot_paired", f"{robot.name} has a key of its own")
    found = "has no key of its own" if robot.paired_at is None else "was paired, and its key holds no more"
    return failed("robot_paired", f"{robot.name} {found}", f"reflex robots pair {robot.id}")


def _heartbeat(robot: Row[Any], now_ms: int) -> Check:
    calibrated = "" if robot.calibration_id is None else f" --calibration-id {shlex.quote(robot.calibration_id)}"
    fix = f"start its runner, or try it by hand: reflex robots heartbeat {robot.id}{calibrated}"
    if robot.heartbeat_at is None:
        return failed("heartbeat_fresh", f"{robot.name} has never sent a heartbeat", fix)
    age_s = (now_ms - robot.heartbeat_at) / SECOND_MS
    if now_ms - robot.heartbeat_at >= HEARTBEAT_LOST_MS:
        return failed("heartbeat_fresh", f"the last heartbeat of {robot.name} came {age_s:.0f} s ago", fix)
    return passed("heartbeat_fresh", f"the last heartbeat of {robot.name} came {max(0.0, age_s):.0f} s ago")


def _calibration(robot: Row[Any]) -> Check:
    if robot.heartbeat_at is None:
        return skipped("calibration", f"{robot.name} has not said with which calibration it runs")
    said, registered = (robot.heartbeat or {}).get("calibration_id"), robot.calibration_id
    again = (
        f"reflex robots register --name NAME --robot-schema-id {robot.robot_schema_id} "
        f"--calibration-id {shlex.quote(said or 'ID')}, and pair it anew"
    )
    if registered is None:
        return warned(
            "calibration", f"{robot.name} is registered without one: nobody would notice a changed arm", again
        )
    if said == registered:
        return passed("calibration", f"{robot.name} runs with the calibration that it is registered with, {said}")
    runs = "does not say with which it runs" if said is None else f"runs with {said}"
    fix = f"run {robot.name} with the calibration {registered}; if the new one is meant: {again}"
    return failed("calibration", f"{robot.name} is registered with the calibration {registered}, and {runs}", fix)


def _rehearsal(robot: Row[Any], deployment_id: str, longest: int | None) -> Check:
    if longest is not None and longest >= REHEARSAL_STEPS:
        return passed("dry_run_seen", f"{robot.name} did {longest} steps of a dry run without a refused chunk")
    found = "no dry run" if longest is None else f"at most {max(0, longest)} steps of a dry run"
    return failed(
        "dry_run_seen",
        f"{robot.name} did {found} with this deployment in the last 24 h without a refused chunk; {REHEARSAL_STEPS} "
        "steps are needed",
        f"reflex sessions authorize --deployment-id {deployment_id} --robot-id {robot.id}, and let it run in dry_run",
    )


def faults_in_words(checks: Iterable[Check]) -> str:
    """The failed ones in one line."""
    return "; ".join(f"{check.id}: {check.message}" for check in checks if check.status == "fail")
