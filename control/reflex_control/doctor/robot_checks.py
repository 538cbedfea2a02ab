"""Whether there is a robot that may be moved: the fittest of the schema, and what keeps others that are driven now.

One robot that is not fit keeps no other from being promoted. Which one is promoted is looked at again, then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

from sqlalchemy import Row

from reflex.readiness.checking import Check, failed, skipped
from reflex_control.doctor.case import Case
from reflex_control.sessions.fitness import ROBOT_CHECKS, Fitness

__all__ = ["lead_of", "robot_checks"]


def lead_of(case: Case) -> Row[Any] | None:
    """The robot that the checks speak of."""
    fittest = _fittest(case.records.robots)
    return None if fittest is None else fittest.robot


def robot_checks(case: Case) -> list[Check]:
    """Those of `ROBOT_CHECKS`, of the fittest robot."""
    schema, fittest = case.records.schema_row, _fittest(case.records.robots)
    if schema is None:
        return [skipped(name, "no robot schema is bound; see schema_bound") for name in ROBOT_CHECKS]
    if fittest is None:
        fix = f"reflex robots register --name NAME --robot-schema-id {schema.id}, then reflex robots pair ID"
        missing = failed("robot_paired", f"no robot of the schema {schema.name} is registered", fix)
        return [missing, *(skipped(name, "there is no robot; see robot_paired") for name in ROBOT_CHECKS[1:])]
    return [_with_others(place, fittest, case.records.robots) for place in range(len(ROBOT_CHECKS))]


def _fittest(robots: Sequence[Fitness]) -> Fitness | None:
    """The one with the fewest faults; of those one that is driven, and was heard of last."""
    return min(
        robots,
        key=lambda each: (len(each.faults), not each.is_driven, -(each.robot.heartbeat_at or -inf)),
        default=None,
    )


def _with_others(place: int, fittest: Fitness, robots: Sequence[Fitness]) -> Check:
    """A pass becomes a warning where another robot that this deployment drives would not be promoted."""
    check = fittest.checks[place]
    others = [each.checks[place] for each in robots if each.is_driven and each is not fittest]
    fault = next((other for other in others if other.status == "fail"), None)
    if fault is None or check.status == "fail":
        return check
    return replace(check, status="warn", message=f"{check.message}; but {fault.message}", fix=fault.fix)
