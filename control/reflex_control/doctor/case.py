"""Everything that the checks look at: what the store says of a deployment, and what was seen of its frontends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from reflex.errors import SetupError
from reflex.robot_schema import RobotSchema, parse_robot_schema
from reflex_control.doctor.sighting import Sighting
from reflex_control.doctor.told import PolicyTold, registered_policy
from reflex_control.registry.finding import find
from reflex_control.sessions.fitness import Fitness, fitness_of
from reflex_control.store.tables import deployment, model, robot, robot_schema

__all__ = ["Case", "Records", "records_of"]


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
    """Those of the schema that are not revoked."""

    @property
    def urls(self) -> list[str]:
        return list((self.deployed.runtime or {}).get("actUrl") or [])

    def deploy_again(self, *, model: str | None = None, schema: str | None = None, url: str | None = None) -> str:
        """The command that deploys the same with something else in it."""
        addresses = self.urls if url is None else [url]
        schema_id = schema or self.deployed.robot_schema_id or "ID"
        where = "".join(f" --act-url {shlex.quote(address)}" for address in addresses or ["URL"])
        what = f"--model-id {model or self.model.id} --robot-schema-id {schema_id}"
        return f"reflex deploy create --name NAME {what}{where} --mode {self.deployed.mode}"


@dataclass(frozen=True, slots=True)
class Case:
    """One examination. `policies` are all records of the policy that may answer, the registered one first."""

    records: Records
    sightings: Sequence[Sighting]
    now_ms: int

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
    wanted = select(robot).where(robot.c.robot_schema_id == bound, robot.c.revoked_at.is_(None))
    robots = [] if bound is None else connection.execute(wanted.order_by(robot.c.created_at, robot.c.id)).all()
    fitness = fitness_of(connection, deployed, robots, now_ms)
    return Records(deployed, policy, registered_policy(policy.config), schema_row, schema, fault, fitness)


def _parsed(row: Row[Any]) -> tuple[RobotSchema | None, str | None]:
    try:
        return parse_robot_schema(row.schema, row.name), None
    except SetupError as exc:
        return None, str(exc)
