"""One organisation with everything that a session needs, a clock that a test turns, and short words for operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update

from reflex_control.identity.actor import SCOPES, Actor, Scope
from reflex_control.identity.keys import make_key, make_organisation
from reflex_control.plane import Plane
from reflex_control.sessions.authorizing import Wish, authorize
from reflex_control.sessions.beating import beat, close_session
from reflex_control.sessions.life import find_session, session_as_json
from reflex_control.sessions.promoting import promote_session
from reflex_control.store.database import Database
from reflex_control.store.tables import deployment, event, model, receipt, robot, robot_schema, session

HASH = "sha256:" + "ab" * 32
NOON_MS = 1_780_000_000_000
PASSED = {"ready": True, "checks": []}


@dataclass
class Scene:
    """`at_ms` is the time of day."""

    database: Database
    at_ms: int = NOON_MS
    actors: dict[str, Actor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plane = Plane(self.database, lambda: self.at_ms)
        with self.database.writing() as connection:
            self.owner = make_organisation(connection, "Lab", self.at_ms)
            common = {"organisation_id": self.owner, "created_at": self.at_ms}
            connection.execute(
                insert(robot_schema).values(
                    id="schema_1", name="so101", schema={}, limits_hash=HASH, simulation=False, **common
                )
            )
            for number in (1, 2):
                connection.execute(
                    insert(robot).values(
                        id=f"robot_{number}", name=f"arm {number}", robot_schema_id="schema_1", **common
                    )
                )
            connection.execute(
                insert(model).values(
                    id="model_1", name="pick", content_hash=HASH, config={"policy_id": "pick"}, **common
                )
            )
            connection.execute(
                insert(deployment).values(
                    id="deploy_1", name="kitchen", model_id="model_1", robot_schema_id="schema_1",
                    runtime={"actUrl": ["http://127.0.0.1:8000"]}, mode="apply_actions", doctor=PASSED,
                    doctor_at=self.at_ms, **common,
                )
            )  # fmt: skip
        self.operator = self.actor("operator", *SCOPES)
        self.arm = self.actor("arm", robot_id="robot_1")

    def actor(self, name: str, *scopes: Scope, robot_id: str | None = None) -> Actor:
        with self.database.writing(self.owner) as connection:
            key = make_key(connection, self.owner, name, scopes, self.at_ms, robot_id=robot_id)
        return Actor(key.id, name, self.owner, frozenset(scopes), robot_id)

    def authorize(self, actor: Actor | None = None, **wish: Any) -> dict[str, Any]:
        wanted = Wish(**{"robot_id": "robot_1", "deployment_id": "deploy_1"} | wish)
        with self.plane.writing(actor or self.operator) as writing:
            return authorize(writing, wanted)

    def promote(self, session_id: str, actor: Actor | None = None) -> dict[str, Any]:
        with self.plane.writing(actor or self.operator) as writing:
            return session_as_json(promote_session(writing, session_id))

    def beat(self, actor: Actor | None = None, robot_id: str = "robot_1", **report: Any) -> dict[str, Any]:
        with self.plane.writing(actor or self.arm) as writing:
            return beat(writing, robot_id, report)

    def rehearsed(self) -> None:
        """Robot 1 has done what is asked of it before a promotion, in a session of an hour ago."""
        with self.database.writing(self.owner) as connection:
            connection.execute(
                insert(session).values(
                    id="sess_before", organisation_id=self.owner, deployment_id="deploy_1", robot_id="robot_1",
                    api_key_id=self.operator.key_id, mode="dry_run", status="closed", created_at=self.at_ms,
                    expires_at=self.at_ms, ends_by=self.at_ms, heartbeat_at=self.at_ms, ended_at=self.at_ms, steps=50,
                    applied_steps=0, safe_stops=0, guard_violations=0, refused_chunks=0,
                )
            )  # fmt: skip

    def close(self, session_id: str, actor: Actor | None = None, reason: str = "done") -> dict[str, Any]:
        with self.plane.writing(actor or self.operator) as writing:
            return session_as_json(close_session(writing, session_id, reason))

    def session(self, session_id: str) -> dict[str, Any]:
        with self.plane.reading() as connection:
            return session_as_json(find_session(connection, self.owner, session_id))

    def kinds(self) -> list[str]:
        """Of the receipts, in their order."""
        with self.plane.reading() as connection:
            return list(connection.scalars(select(receipt.c.kind).order_by(receipt.c.seq)))

    def told(self) -> list[Mapping[str, Any]]:
        """What those who listen heard."""
        with self.plane.reading() as connection:
            return list(connection.scalars(select(event.c.data).order_by(event.c.seq)))

    def set_deployment(self, **values: Any) -> None:
        with self.database.writing(self.owner) as connection:
            connection.execute(update(deployment).values(**values))

    def live(self) -> int:
        with self.plane.reading() as connection:
            return len(connection.execute(select(session.c.id).where(session.c.ended_at.is_(None))).all())

    def after(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)
