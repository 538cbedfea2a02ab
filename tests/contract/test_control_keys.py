"""Every route of the control plane with every kind of key: the table is made from the table of its operations."""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from reflex.api_keys import new_key
from reflex_control.http.app import OPERATIONS
from reflex_control.http.operation import Operation
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.keys import NewKey, make_organisation, revoke_key
from reflex_control.identity.pairing import make_token
from reflex_control.moments import now_ms
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.finding import find
from reflex_control.sessions.authorizing import Wish, authorize
from reflex_control.store.tables import robot as robot_table
from support.outside.control_plane import ControlProcess, StoreOf, Tenant, prepared_store, running_control
from support.promise import Promise
from unit.reflex_control.scene import CONTENT_HASH, a_model, a_robot, a_training_run

KEYED = [operation for operation in OPERATIONS if not operation.needs.is_public]
SCOPED = [operation for operation in KEYED if operation.needs.scopes]
OF_ROBOTS = [operation for operation in SCOPED if operation.needs.own_robot or operation.needs.any_robot]
WITH_ID = [operation for operation in SCOPED if "{id}" in operation.path]
NEEDED = {
    "/v1/datasets/{id}/validation": {"contentHash": CONTENT_HASH, "state": "validating"},
    "/v1/training-runs/{id}/beat": {"leaseId": "lease_1", "state": "running", "step": 1},
    "/v1/training-runs/{id}/end": {"leaseId": "lease_1", "state": "failed", "reason": "x", "steps": 1},
}
"""Bodies of those that take nothing without."""
MANY = 1_000_000.0
ROUNDS = 150
AS_LONG = 1.3


@dataclass(frozen=True)
class Scene:
    """A running control plane with two organisations."""

    control: ControlProcess
    ours: Tenant
    theirs: Tenant
    lonely: Tenant
    """An organisation without any key."""
    admin: str
    robot_id: str
    robot_key: str
    no_keys: Mapping[str, str]
    """Secrets that are good, but for something else than to ask with: a pairing token and a credential."""
    of_theirs: Mapping[str, str]
    """Ids of the other organisation, by what stands in the path."""

    def ask(self, operation: Operation, key: str | None, identity: str = "none_1", **more: object) -> httpx.Response:
        path = operation.path.replace("{id}", identity)
        body: dict[str, Any] = {}
        if operation.method == "POST" and "content" not in more:
            body = {"json": NEEDED.get(operation.path, {})}
        return self.control.ask(operation.method, path, key, **body, **more)


@pytest.fixture(scope="module")
def scene(store_of: StoreOf) -> Iterator[Scene]:
    options = (*store_of.options, "--rate-limit", str(MANY))
    with (
        prepared_store(store_of.folder, store_of.url) as (ours, theirs),
        running_control(store_of.folder, *options) as control,
    ):
        admin, plane = ours.admin(), Plane(ours.store)
        of_ours = things_of(ours, plane)
        robot_id = of_ours["robots"]
        robot_key = ours.key(robot_id=robot_id).secret
        no_keys = {"a session's credential": of_ours["credential"], "a pairing token": token_of(ours, plane, robot_id)}
        with ours.store.writing() as connection:
            lonely = Tenant(ours.store, make_organisation(connection, "lonely", now_ms()))
        yield Scene(control, ours, theirs, lonely, admin.secret, robot_id, robot_key, no_keys, things_of(theirs, plane))


def actor_of(tenant: Tenant, key: NewKey) -> Actor:
    return Actor(key.id, "test", tenant.organisation_id, frozenset(SCOPES))


def things_of(tenant: Tenant, plane: Plane) -> dict[str, str]:
    key = tenant.admin()
    actor = actor_of(tenant, key)
    robot_id, model_id = a_robot(plane, actor), a_model(plane, actor)["id"]
    run = a_training_run(plane, actor)
    with plane.writing(actor) as writing:
        made = create_deployment(writing, "theirs", model_id, None, None, "dry_run", None)
        robot = find(writing.connection, robot_table, tenant.organisation_id, robot_id, what="robot")
        granted = authorize(writing, Wish(robot_id=robot_id, deployment_id=made["id"]))
    return {
        "keys": key.id, "robots": robot_id, "models": model_id, "deployments": made["id"],
        "robot-schemas": robot.robot_schema_id, "sessions": granted["sessionId"], "credential": granted["credential"],
        "datasets": run["datasetId"], "training-runs": run["id"],
    }  # fmt: skip


def token_of(tenant: Tenant, plane: Plane, robot_id: str) -> str:
    with plane.writing(actor_of(tenant, tenant.admin())) as writing:
        made, _ = make_token(writing.connection, tenant.organisation_id, robot_id, 3600, writing.now_ms)
    return str(made["token"])


def wrong_keys(scene: Scene) -> dict[str, list[tuple[bytes, bytes]]]:
    """Authorization headers that nobody is let in with."""
    revoked = scene.ours.admin()
    with scene.ours.store.writing() as connection:
        revoke_key(connection, revoked.id, now_ms())
    good = scene.admin.encode()
    values = {
        "no key": [],
        "malformed": [b"Bearer rfx_short"],
        "another scheme": [b"Basic " + good],
        "no scheme": [good],
        "unknown": [b"Bearer " + new_key().encode()],
        "revoked": [b"Bearer " + revoked.secret.encode()],
        "expired": [b"Bearer " + scene.ours.key(*SCOPES, expires_at=now_ms()).secret.encode()],
        **{name: [b"Bearer " + secret.encode()] for name, secret in scene.no_keys.items()},
        "not ASCII": [b"Bearer " + good + b"\xc3\xa4"],
        "10 KB": [b"Bearer " + b"a" * 10_000],
        "the key and more": [b"Bearer " + good + b"a" * 10_000],
        "twice": [b"Bearer " + good] * 2,
        "empty": [b"Bearer"],
    }
    return {name: [(b"authorization", value) for value in given] for name, given in values.items()}


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def test_who_is_not_let_in_learns_nothing_by_any_route(scene: Scene) -> None:
    wrong = {"in the query": [], **wrong_keys(scene)}
    outcomes = {}
    with httpx.Client(base_url=scene.control.base_url, verify=False) as client:
        for operation, (name, headers) in itertools.product(KEYED, wrong.items()):
            path = operation.path.replace("{id}", "none_1")
            query = f"?api_key={scene.admin}&authorization={scene.admin}" if name == "in the query" else ""
            content = b"{}" if operation.method == "POST" else None
            sent = [(b"content-type", b"application/json"), *headers]
            answer = client.request(operation.method, path + query, headers=sent, content=content)
            body = answer.json()
            del body["request_id"]
            outcomes[name_of(operation), name] = (answer.status_code, str(body), answer.headers["www-authenticate"])

    assert len(outcomes) == len(KEYED) * len(wrong)
    assert {status for status, _, _ in outcomes.values()} == {401}
    assert len(set(outcomes.values())) == 1


@pytest.mark.parametrize("operation", SCOPED, ids=name_of)
def test_every_other_scope_together_is_refused_by_the_name_of_the_missing_one(
    scene: Scene, operation: Operation
) -> None:
    others = [scope for scope in SCOPES if scope not in operation.needs.scopes]

    answer = scene.ask(operation, scene.ours.key(*others).secret)

    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert answer.json()["scope"] == " or ".join(operation.needs.scopes)


@pytest.mark.parametrize("operation", [each for each in SCOPED if each not in OF_ROBOTS], ids=name_of)
def test_a_robots_key_opens_nothing_of_an_operator(scene: Scene, operation: Operation) -> None:
    assert scene.ask(operation, scene.robot_key).status_code == 403


@pytest.mark.parametrize("operation", [each for each in OF_ROBOTS if "{id}" in each.path], ids=name_of)
def test_a_robots_key_finds_nothing_that_is_not_its_own(scene: Scene, operation: Operation) -> None:
    theirs = scene.of_theirs[operation.path.split("/")[2]]

    assert [scene.ask(operation, scene.robot_key, each).status_code for each in (theirs, "none_1")] == [404, 404]


def test_a_robots_key_is_told_which_robot_it_is(scene: Scene) -> None:
    told = scene.control.ask("GET", "/v1/whoami", scene.robot_key).json()["key"]

    assert (told["kind"], told["robotId"], told["scopes"]) == ("robot", scene.robot_id, [])


@pytest.mark.parametrize("operation", WITH_ID, ids=name_of)
def test_another_organisations_id_is_not_found(scene: Scene, operation: Operation) -> None:
    theirs = scene.of_theirs[operation.path.split("/")[2]]

    answers = [scene.ask(operation, scene.admin, identity) for identity in (theirs, "none_1")]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(404, "not_found")] * 2
    assert answers[0].json()["message"] == answers[1].json()["message"]


def test_every_key_is_told_whose_it_is(scene: Scene) -> None:
    key = scene.ours.key("read")

    told = scene.control.ask("GET", "/v1/whoami", key.secret).json()

    assert told["organisation"] == {"id": scene.ours.organisation_id, "name": "ours"}
    assert (told["key"]["id"], told["key"]["scopes"]) == (key.id, ["read"])


def test_a_key_rotates_and_revokes_itself_and_no_other(scene: Scene) -> None:
    key, other = scene.ours.key("read"), scene.ours.key("read")
    asked = [f"/v1/keys/{key.id}/rotate", f"/v1/keys/{other.id}/revoke", f"/v1/keys/{key.id}/revoke", "/v1/whoami"]

    statuses = [
        scene.control.ask("GET" if path == "/v1/whoami" else "POST", path, key.secret).status_code for path in asked
    ]

    assert statuses == [201, 403, 200, 401]


def test_an_admin_gets_no_scope_by_rotating_a_key_that_has_it(scene: Scene) -> None:
    admin, target = scene.ours.key("admin", "read").secret, scene.ours.key("promote")

    answers = [
        scene.control.ask("POST", f"/v1/keys/{target.id}/rotate", admin),
        scene.control.ask("POST", "/v1/keys", admin, json={"name": "more", "scopes": ["read", "promote"]}),
    ]

    assert [(answer.status_code, answer.json()["scope"]) for answer in answers] == [(403, "promote")] * 2


@pytest.mark.timing
def test_how_long_a_refusal_takes_does_not_tell_why(scene: Scene, promise: Promise) -> None:
    wrong, chance = wrong_keys(scene), random.Random(7)
    took_s: dict[str, list[float]] = {name: [] for name in wrong}
    with httpx.Client(base_url=scene.control.base_url, verify=False) as client:
        for _ in range(ROUNDS):
            for name in chance.sample(sorted(wrong), len(wrong)):
                began = time.perf_counter()
                assert client.get("/v1/whoami", headers=wrong[name]).status_code == 401
                took_s[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each) for name, each in took_s.items()}

    ratio = max(medians.values()) / min(medians.values())
    promise("the slowest kind of 401 beside the quickest", ratio, at_most=AS_LONG, unit="x")


def test_an_organisation_keeps_an_admin_key_whoever_takes_it_back(scene: Scene) -> None:
    first, second = scene.lonely.admin(), scene.lonely.admin()
    revoked = [f"/v1/keys/{key.id}/revoke" for key in (first, second, second)]

    answers = [scene.control.ask("POST", path, second.secret) for path in revoked]

    assert [answer.status_code for answer in answers] == [200, 409, 409]
    assert answers[1].json()["error"] == "wrong_state"
    assert "reflex keys create" in answers[1].json()["message"]
    assert scene.control.ask("GET", "/v1/whoami", second.secret).status_code == 200
