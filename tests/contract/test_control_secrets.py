"""A life of the control plane, of which every secret is looked for afterwards: it stands nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from reflex_control.http.app import OPERATIONS
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.store.tables import signing_key
from support.outside.control_plane import ControlProcess, StoreOf, Tenant, prepared_store, running_control
from unit.reflex_control.scene import a_model, a_robot

IDEMPOTENCY = "an-idempotency-key-is-a-secret-too"
STREAM = "/v1/events"


@dataclass
class Life:
    """Asks, and keeps every answer. `secrets` are those that an answer handed out, each in its own answer alone."""

    control: ControlProcess
    admin: str
    answers: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, key: str | None, handed: str | None = None, **more: Any) -> dict[str, Any]:
        """`handed` is the field of the answer in which a secret is handed out."""
        answer = self.control.ask(method, path, key, **more)
        told: dict[str, Any] = answer.json() if answer.headers["content-type"] == "application/json" else {}
        text = f"{answer.headers} {answer.text}"
        if handed is not None:
            self.secrets.append(told[handed])
            text = text.replace(told[handed], "", 1)
        self.answers.append(text)
        return told

    def create(self, path: str, key: str | None, handed: str, **body: Any) -> dict[str, Any]:
        headers = {"idempotency-key": f"{IDEMPOTENCY}-{len(self.answers)}"}
        return self.ask("POST", path, key, handed, json=body, headers=headers)


@dataclass(frozen=True)
class Scene:
    life: Life
    store: StoreOf
    ours: Tenant


@pytest.fixture(scope="module")
def scene(store_of: StoreOf) -> Iterator[Scene]:
    with (
        prepared_store(store_of.folder, store_of.url) as (ours, _),
        running_control(store_of.folder, *store_of.options, "--rate-limit", "1000000") as control,
    ):
        admin, plane = ours.admin(), Plane(ours.store)
        actor = Actor(admin.id, "test", ours.organisation_id, frozenset(SCOPES))
        life = Life(control, admin.secret, secrets=[admin.secret])
        robot_id, model_id = a_robot(plane, actor), a_model(plane, actor)["id"]
        with plane.writing(actor) as writing:
            deployed = create_deployment(writing, "kitchen", model_id, None, None, "dry_run", None)
        live(life, robot_id, deployed["id"])
        misuse(life)
        look_at_everything(life)
        yield Scene(life, store_of, ours)


def live(life: Life, robot_id: str, deployment_id: str) -> None:
    """Everything that hands out a secret."""
    made = life.create("/v1/keys", life.admin, "key", name="one", scopes=["read"])
    life.create(f"/v1/keys/{made['id']}/rotate", life.admin, "key", overlapSeconds=60)
    token = life.create(f"/v1/robots/{robot_id}/pairing-tokens", life.admin, "token")["token"]
    arm = life.create("/v1/pairing-tokens/claim", None, "key", token=token)["key"]
    granted = life.create("/v1/sessions", arm, "credential", deploymentId=deployment_id, robotId=robot_id)
    beat = {"sessionId": granted["sessionId"], "steps": 50}
    life.ask("POST", f"/v1/robots/{robot_id}/heartbeat", arm, "credential", json=beat)
    life.ask("POST", f"/v1/sessions/{granted['sessionId']}/close", arm, json={"reason": "done"})


def misuse(life: Life) -> None:
    """Each secret where none is expected."""
    for secret in life.secrets:
        life.ask("GET", f"/{secret[:60]}?key={secret}", secret)
        life.ask("GET", f"/v1/models/{secret[:60]}?key={secret}", life.admin)
        life.ask("GET", f"/v1/receipts?kind={secret}", life.admin)
        life.ask("POST", "/v1/keys", life.admin, json={"name": 1, "scopes": [secret], secret: secret})
        life.ask("POST", "/v1/keys", life.admin, content=secret.encode(), headers={"content-type": secret})
        life.ask("POST", "/v1/pairing-tokens/claim", None, json={"token": f"{secret[:200]}x"})
        life.ask("GET", "/v1/whoami", None, headers={"host": "evil.example", "x-secret": secret})


def look_at_everything(life: Life) -> None:
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.path != STREAM:
            life.ask("GET", operation.path.replace("{id}", "none_1"), life.admin)
    life.answers.append(life.control.ask("GET", "/metrics").text)
    with httpx.stream("GET", life.control.base_url + STREAM, headers={
        "authorization": f"Bearer {life.admin}", "last-event-id": "0",
    }, verify=False) as events:  # fmt: skip
        life.answers.append(next(events.iter_text()))


def test_a_secret_stands_in_the_answer_that_hands_it_out_and_in_no_other(scene: Scene) -> None:
    assert len(set(scene.life.secrets)) == 7
    assert [each for each in scene.life.answers if any(secret in each for secret in scene.life.secrets)] == []
    assert any('"kind": "session_authorized"' in each or "session_authorized" in each for each in scene.life.answers)


def test_no_secret_stands_in_the_log(scene: Scene) -> None:
    log = scene.life.control.log

    assert [secret for secret in [*scene.life.secrets, IDEMPOTENCY] if secret in log] == []
    assert '"route": "/v1/models/{id}"' in log


def test_no_secret_stands_in_what_is_stored(scene: Scene) -> None:
    """A copy of the store lets nobody ask, drive, or read an answer that was kept to be repeated."""
    folder = scene.store.files or scene.store.folder
    stored = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "log"]
    wanted = [secret.encode() for secret in [*scene.life.secrets, IDEMPOTENCY]]

    assert any(b"session_authorized" in each for each in stored), "this is where it is stored"
    assert [secret for secret in wanted if any(secret in each for each in stored)] == []


def test_a_key_that_signs_leaves_the_store_in_no_form(scene: Scene) -> None:
    with scene.ours.store.reading() as connection:
        (seed,) = connection.scalars(select(signing_key.c.private)).all()
    told = "".join(scene.life.answers) + scene.life.control.log

    forms = [base64.b64encode(seed).decode().rstrip("="), base64.urlsafe_b64encode(seed).decode().rstrip("=")]
    assert [form for form in [*forms, seed.hex()] if form in told] == []
