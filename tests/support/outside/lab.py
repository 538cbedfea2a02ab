"""A laboratory in a store: robots, deployments, sessions and receipts, as the pages of the dashboard show them."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import update

from docs.documents import REPOSITORY
from reflex.signed.moments import iso_of
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.pairing import DEFAULT_TTL_S, claim_token, make_token
from reflex_control.moments import now_ms
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.models import register_model
from reflex_control.registry.robots import register_robot
from reflex_control.registry.schemas import register_schema
from reflex_control.sessions.authorizing import Wish, authorize
from reflex_control.sessions.beating import beat, close_session
from reflex_control.store.tables import deployment, robot
from support.outside.control_plane import Tenant

__all__ = ["HOSTILE", "PASSED", "PER_BEAT", "REFUSED", "Lab"]

HOSTILE: Final = "<script>document.title='owned'</script>\u202e\u2066'\"&lt;"
"""What no name should be, and what a page has to show as the text that it is."""
BEAT_EVERY_S: Final = 10
PER_BEAT: Final = 190
"""Steps: of a robot at 20 Hz that waits now and then."""
LATENCIES_MS: Final = (61.0, 58.4, 63.9, 60.2, 74.8, 59.1, 60.7, 96.3, 62.0, 58.8, 61.4, 60.0)

Check = dict[str, Any]
PASSED: Final[list[Check]] = [
    {"id": "model_registered", "status": "pass", "message": "pick_cup@5555aaaa5555 is registered", "fix": None},
    {"id": "act_reachable", "status": "pass", "message": "the frontend answers in 3 ms", "fix": None},
    {"id": "trained", "status": "pass", "message": "the policy is trained", "fix": None},
    {"id": "units", "status": "pass", "message": "policy and schema agree in unit and zero", "fix": None},
]
REFUSED: Final[list[Check]] = [
    *PASSED[:1],
    {"id": "model_version", "status": "fail", "message": "the frontend serves another policy than the deployment's",
     "fix": "reflex serve --model-repository models/pick_cup"},
    {"id": "heartbeat_fresh", "status": "warn", "message": "the last heartbeat is 4 min old",
     "fix": "reflex robots heartbeat ROBOT_ID"},
    {"id": "clock", "status": "skip", "message": "no heartbeat said what time it is", "fix": None},
]  # fmt: skip


@dataclass
class Lab:
    """One organisation with a key that may everything."""

    tenant: Tenant
    names: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.key = self.tenant.admin()
        self.plane = Plane(self.tenant.store)
        self.actor = Actor(self.key.id, "test", self.tenant.organisation_id, frozenset(SCOPES))
        schema = json.loads((REPOSITORY / "examples" / "so101.schema.json").read_text())
        with self.plane.writing(self.actor) as writing:
            made = register_schema(writing, f"so101-{next(self.names)}", schema, "so101")
        self.schema_id: str = made["id"]

    def robot(self, name: str, calibration_id: str | None = None, *, paired: bool = False) -> str:
        """Its id."""
        with self.plane.writing(self.actor) as writing:
            made = register_robot(writing, name, self.schema_id, None, calibration_id)
            if paired:
                owner = self.tenant.organisation_id
                token, _ = make_token(writing.connection, owner, made["id"], DEFAULT_TTL_S, writing.now_ms)
                claim_token(writing.connection, token["token"], writing.now_ms)
        return str(made["id"])

    def deployment(self, name: str, mode: str = "apply_actions", *, url: str = "http://127.0.0.1:8000") -> str:
        """Its id; of a model of its own."""
        content = "sha256:" + hashlib.sha256(f"{name} {next(self.names)}".encode()).hexdigest()
        with self.plane.writing(self.actor) as writing:
            model = register_model(writing, name, content, {"family": "act", "trained": True}, None)
            made = create_deployment(writing, name, model["id"], self.schema_id, {"actUrl": url}, mode, None)
        return str(made["id"])

    def doctor(self, deployment_id: str, checks: list[Check]) -> None:
        """What a doctor found at this moment."""
        found = {"deploymentId": deployment_id, "ready": all(check["status"] != "fail" for check in checks),
                 "checkedAt": iso_of(self.plane.clock()), "checks": checks}  # fmt: skip
        with self.tenant.store.writing() as connection:
            connection.execute(
                update(deployment).where(deployment.c.id == deployment_id)
                .values(doctor=found, doctor_at=self.plane.clock())
            )  # fmt: skip

    def session(self, deployment_id: str, robot_id: str) -> str:
        """Its id, in dry_run."""
        wish = Wish(robot_id=robot_id, deployment_id=deployment_id)
        with self.plane.writing(self.actor) as writing:
            return str(authorize(writing, wish)["sessionId"])

    def beat(self, robot_id: str, session_id: str, **report: Any) -> None:
        with self.plane.writing(self.actor) as writing:
            beat(writing, robot_id, {"session_id": session_id, **report})

    def driven(self, deployment_id: str, robot_id: str, number: int, *, violations: int = 0, ago_s: int = 0) -> str:
        """The id of a session with so many heartbeats behind it, the last one `ago_s` ago; violations in its middle.

        All in one write: no sweep may find it between two of them.
        """
        now = now_ms() - ago_s * 1000
        moments = [now - (number - 1 - index) * BEAT_EVERY_S * 1000 for index in range(number)]
        with self.plane.writing(self.actor) as writing:
            begun = replace(writing, now_ms=moments[0] - 1000)
            identity = str(authorize(begun, Wish(robot_id=robot_id, deployment_id=deployment_id))["sessionId"])
            for index, moment in enumerate(moments):
                report = {"session_id": identity, "steps": PER_BEAT * index + 7 * (index % 3), "applied_steps": 0,
                          "guard_violations": violations if index * 2 >= number else 0,
                          "latency_ms": LATENCIES_MS[index % len(LATENCIES_MS)]}  # fmt: skip
                beat(replace(writing, now_ms=moment), robot_id, report)
        return identity

    def close(self, session_id: str, reason: str) -> None:
        with self.plane.writing(self.actor) as writing:
            close_session(writing, session_id, reason)

    def rename_robot(self, robot_id: str, name: str) -> None:
        """To a name that the API would not take."""
        with self.tenant.store.writing() as connection:
            connection.execute(update(robot).where(robot.c.id == robot_id).values(name=name))
