"""Everything that the checks look at: what the store says of a deployment, and what was seen of its frontends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from reflex.errors import SetupError
from reflex.robot_schema import RobotSchema, parse_robot_schema
from reflex_control.doctor.sighting import Sighting
from reflex_control.doctor.told import PolicyTold, registered_policy
from reflex_control.moments import DAY_MS
from reflex_control.registry.finding import find
from reflex_control.sessions.fitness import Fitness, fitness_of
from reflex_control.store.tables import deployment, model, robot, robot_schema, session

__all__ = ["Case", "Records", "records_of"]

MOST_IDLE_ROBOTS: Final = 64


@dataclass(frozen=True, slots=True)
class Records:
    """What the store knows. A schema that is bound and cannot be read has a `schema_fault` in its place."""

    deployed: Row[Any]
    model: Row[Any]
    registered: PolicyTold | None
    schema_row: Row[Any] | None
    schema: RobotSchema | None
    schema_fault: str | None
    robots: Sequence[Fitness]
    """Those of the schema that are not revoked, and may be fit."""

    @property
    def urls(self) -> list[str]:
        return list((self.deployed.runtime or {}).get("actUrl") or [])

    def deploy_again(self, *, model: str | None = None, url: str | None = None) -> str:
        """The command that deploys the same with something else in it."""
        addresses = self.urls if url is None else [url]
        schema_id = self.deployed.robot_schema_id or "ID"
        where = "".join(f" --act-url {shlex.quote(address)}" for address in addresses or ["URL"])
        what = f"--model-id {model or self.model.id} --robot-schema-id {schema_id}"
        return f"reflex deploy create --name NAME {what}{where} --mode {self.deployed.mode}"


@dataclass(frozen=True, slots=True)
class Case:
    """One examination. `policies` are all records of the policy that may answer, the registered one first."""

    records: Records
    sightings: Sequence[Sighting]

    @property
    def policies(self) -> list[PolicyTold]:
        told = (self.records.registered, *(sighting.policy for sighting in self.sightings))
        return [policy for policy in told if policy is not None]


def records_of(connection: Connection, organisation_id: str, deployment_id: str, now_ms: int) -> Records:
    """`ServiceError` 404 when the organisation has no such deployment."""
    deployed = find(connection, deployment, organisation_id, deployment_id, what="deployment")
    policy = find(connection, model, organisation_id, deployed.model_id, what="model")
    bound = deployed.robot_schema_id
    schema_row = None if bound is None else find(connection, robot_schema, organisation_id, bound, what="robot schema")
    schema, fault = (None, None) if schema_row is None else _parsed(schema_row)
    fitness = fitness_of(connection, deployed, _robots(connection, deployed, now_ms), now_ms)
    return Records(deployed, policy, registered_policy(policy.config), schema_row, schema, fault, fitness)


def _robots(connection: Connection, deployed: Row[Any], now_ms: int) -> list[Row[Any]]:
    """Those that may be fit: driven by the deployment within a day, or heard of last. A fleet may be large."""
    recent = (session.c.ended_at.is_(None)) | (session.c.heartbeat_at > now_ms - DAY_MS)
    driven = select(session.c.robot_id).where(session.c.deployment_id == deployed.id, recent)
    of_schema = select(robot).where(robot.c.robot_schema_id == deployed.robot_schema_id, robot.c.revoked_at.is_(None))
    heard_last = of_schema.order_by(func.coalesce(robot.c.heartbeat_at, 0).desc(), robot.c.created_at, robot.c.id)
    found = [
        *connection.execute(of_schema.where(robot.c.id.in_(driven))),
        *connection.execute(heard_last.limit(MOST_IDLE_ROBOTS)),
    ]
    return list({row.id: row for row in found}.values())


def _parsed(row: Row[Any]) -> tuple[RobotSchema | None, str | None]:
    try:
        return parse_robot_schema(row.schema, row.name), None
    except SetupError as exc:
        return None, str(exc)
