"""A deployment that is healthy in everything, with a frontend on loopback: each test makes one thing of it ill."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update

from docs.documents import REPOSITORY
from reflex.embodiments import load_embodiment
from reflex.signed.moments import iso_of
from reflex_control.doctor.examining import examine
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.keys import make_key, make_organisation
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.models import register_model
from reflex_control.registry.robots import register_robot
from reflex_control.registry.schemas import register_schema
from reflex_control.sessions.authorizing import Wish, authorize
from reflex_control.sessions.beating import beat
from reflex_control.store.database import Database
from reflex_control.store.tables import deployment, model, robot_schema, session
from support.waiting import HANGS_S

__all__ = ["HASH", "Frontend", "Scene", "frontend", "scene_on"]

HASH: Final = "sha256:" + "ab" * 32
NOON_MS: Final = 1_780_000_000_000
SCHEMA: Final[dict[str, Any]] = json.loads((REPOSITORY / "examples" / "so101.schema.json").read_text(encoding="utf-8"))
CONFIG: Final[dict[str, Any]] = {
    "policy_id": "pick", "policy_hash": HASH, "trained": True, "embodiment": "so101", "family": "act",
    "cameras": [{"name": "front", "required": True}], "state_dim": 6, "action_dim": 6,
    "normalization": [
        {"feature": "observation.state", "mode": "MEAN_STD", "statistics": ["mean", "std"], "never_moved": []},
        {"feature": "action", "mode": "MEAN_STD", "statistics": ["mean", "std"], "never_moved": []},
        {"feature": "observation.images.front", "mode": "IDENTITY"},
    ],
    "parity": {"verdict": "passed", "cosine": 1.0}, "warnings": [],
}  # fmt: skip


@dataclass
class Frontend:
    """What one says; `asked` are the paths and the credentials that came."""

    now_ms: Callable[[], int]
    url: str = ""
    is_guarded: bool = True
    ahead_ms: int = 0
    health: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    prefix: str = ""
    """Of its paths."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    while_asked: Callable[[], None] = lambda: None

    def answer(self, path: str, credential: str | None) -> tuple[int, dict[str, Any]]:
        self.asked.append((path, credential))
        self.while_asked()
        path = path.removeprefix(self.prefix)
        if path == "/config" and self.is_guarded and not (credential or "").startswith("Bearer rfx_sess_"):
            return 401, {"error": "unauthorized"}
        told = {"/health": self._health(), "/config": self._config()}.get(path)
        return (404, {}) if told is None else (self.status.get(path, 200), told)

    def _health(self) -> dict[str, Any]:
        time = iso_of(self.now_ms() + self.ahead_ms)
        told = {"status": "ready", "model_loaded": True, "model_version": "pick@abababababab", "policy_hash": HASH}
        return {**told, "guard_active": True, "time": time, **self.health}

    def _config(self) -> dict[str, Any]:
        arm = dataclasses.asdict(load_embodiment(self.config.get("embodiment", "so101")))
        return {**CONFIG, "embodiment_details": arm, **self.config}

    def change_arm(self, **changes: Any) -> None:
        """Of the embodiment that its policy is for."""
        self.config["embodiment_details"] = {**dataclasses.asdict(load_embodiment("so101")), **changes}


@contextlib.contextmanager
def frontend(now_ms: Callable[[], int]) -> Iterator[Frontend]:
    """One that listens on loopback until the end."""
    told = Frontend(now_ms)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = told.answer(self.path, self.headers["authorization"])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Scene:
    """`at_ms` is the time of day."""

    database: Database
    at_ms: int = NOON_MS

    def __post_init__(self) -> None:
        self.plane = Plane(self.database, lambda: self.at_ms)
        with self.database.writing() as connection:
            self.owner = make_organisation(connection, "Lab", self.at_ms)
        self.operator = self.actor(None)

    def actor(self, robot_id: str | None) -> Actor:
        scopes = SCOPES if robot_id is None else ()
        with self.database.writing(self.owner) as connection:
            key = make_key(connection, self.owner, "key", scopes, self.at_ms, robot_id=robot_id)
        return Actor(key.id, "key", self.owner, frozenset(scopes), robot_id)

    def deploy(self, urls: list[str] | None, name: str = "kitchen") -> str:
        """The id of a new deployment of the model, for the schema."""
        runtime = None if urls is None else {"actUrl": urls}
        with self.plane.writing(self.operator) as writing:
            made = create_deployment(writing, name, self.model_id, self.schema_id, runtime, "apply_actions", None)
        return str(made["id"])

    def register(self, urls: list[str]) -> None:
        with self.plane.writing(self.operator) as writing:
            self.model_id = register_model(writing, "pick", HASH, CONFIG, None)["id"]
            self.schema_id = register_schema(writing, "so101", SCHEMA, None)["id"]
            self.robot_id = register_robot(writing, "arm-1", self.schema_id, None, "calib-1")["id"]
        self.deployment_id = self.deploy(urls)
        self.actor(self.robot_id)

    def rehearse(self, robot_id: str, steps: int = 50, deployment_id: str = "", **report: Any) -> str:
        """A session in dry_run, with one heartbeat; its id."""
        wish = Wish(robot_id=robot_id, deployment_id=deployment_id or self.deployment_id)
        with self.plane.writing(self.operator) as writing:
            identity: str = authorize(writing, wish)["sessionId"]
            said = {"session_id": identity, "steps": steps, "calibration_id": "calib-1", "sent_at": iso_of(self.at_ms)}
            beat(writing, robot_id, {**said, **report})
        return identity

    def another_robot(self, name: str, calibration_id: str | None = "calib-1") -> str:
        """The id of one that is paired."""
        with self.plane.writing(self.operator) as writing:
            identity: str = register_robot(writing, name, self.schema_id, None, calibration_id)["id"]
        self.actor(identity)
        return identity

    def live_session(self, connection: Connection) -> str:
        return str(connection.scalar(select(session.c.id).where(session.c.ended_at.is_(None))))

    def change_owner_of_rehearsal(self, deployment_id: str) -> None:
        """The dry run was one with this deployment."""
        self.change(session, deployment_id=deployment_id)

    def urls(self) -> list[str]:
        with self.plane.reading() as connection:
            runtime: Any = connection.scalar(select(deployment.c.runtime).where(deployment.c.id == self.deployment_id))
        return list(runtime["actUrl"])

    def end_all(self) -> None:
        self.change(session, ended_at=self.at_ms, status="closed")

    def after(self, seconds: float) -> None:
        self.at_ms += int(1000 * seconds)

    def change(self, what: Table, **values: Any) -> None:
        """Every row of a table."""
        with self.database.writing(self.owner) as connection:
            connection.execute(update(what).values(**values))

    def change_config(self, **changes: Any) -> None:
        """What was registered with the model."""
        self.change(model, config={**CONFIG, **changes})

    def change_schema(self, **changes: Any) -> None:
        self.change(robot_schema, schema={**SCHEMA, **changes}, simulation=changes.get("simulation", False))

    def examine(self, deployment_id: str = "") -> dict[str, Any]:
        return examine(self.plane, self.operator, deployment_id or self.deployment_id, deadline_s=HANGS_S)

    def checks(self, deployment_id: str = "") -> dict[str, dict[str, Any]]:
        return {check["id"]: check for check in self.examine(deployment_id)["checks"]}

    def not_passed(self, deployment_id: str = "") -> dict[str, str]:
        """Status by check, of those that did not pass."""
        checks = self.checks(deployment_id)
        return {name: check["status"] for name, check in checks.items() if check["status"] != "pass"}


def scene_on(database: Database, one: Frontend) -> Scene:
    """Healthy in everything."""
    scene = Scene(database)
    one.now_ms = lambda: scene.at_ms
    scene.register([one.url])
    scene.rehearse(scene.robot_id)
    return scene
