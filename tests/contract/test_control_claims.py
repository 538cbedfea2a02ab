"""What only one may win has one winner over HTTP too, whoever asks how often at once, on every kind of store.

`REFLEX_CHAOS_CLAIMS` is how many times it is raced for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from reflex_control.http.routes import robots
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from support.outside.control_plane import ControlProcess, StoreOf, prepared_store, running_control
from unit.reflex_control.scene import a_model, a_robot

RACES: Final = int(os.environ.get("REFLEX_CHAOS_CLAIMS", "4"))
RUNNERS: Final = 32
CREATES: Final = 64


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    key: str
    robot_id: str
    deployment_id: str
    client: httpx.Client
    threads: ThreadPoolExecutor

    def ask(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers={"authorization": f"Bearer {self.key}", **headers})

    def race(self, ask: Callable[[], httpx.Response], runners: int = RUNNERS) -> list[httpx.Response]:
        """All at once, as far as one machine can."""
        return [each.result() for each in [self.threads.submit(ask) for _ in range(runners)]]


@pytest.fixture(scope="module")
def scene(store_of: StoreOf) -> Iterator[Scene]:
    limits = httpx.Limits(max_connections=CREATES)
    with (
        prepared_store(store_of.folder, store_of.url) as (ours, _),
        running_control(
            store_of.folder, *store_of.options, "--rate-limit", "1000000", "--public-rate-limit", "1000000"
        ) as control,
        httpx.Client(base_url=control.base_url, verify=False, timeout=60, limits=limits) as client,
        ThreadPoolExecutor(CREATES) as threads,
    ):
        admin, plane = ours.admin(), Plane(ours.store)
        actor = Actor(admin.id, "test", ours.organisation_id, frozenset(SCOPES))
        robot_id, model_id = a_robot(plane, actor), a_model(plane, actor)["id"]
        with plane.writing(actor) as writing:
            deployed = create_deployment(writing, "kitchen", model_id, None, None, "dry_run", None)
        yield Scene(control, admin.secret, robot_id, deployed["id"], client, threads)


@pytest.mark.timeout(600)
def test_each_pairing_token_has_one_winner_and_gives_a_robot_its_key(scene: Scene) -> None:
    assert robots.ROBOT_OPERATIONS
    for _ in range(RACES):
        token = scene.ask(f"/v1/robots/{scene.robot_id}/pairing-tokens", {}).json()["token"]
        answers = scene.race(lambda: scene.client.post("/v1/pairing-tokens/claim", json={"token": token}))  # noqa: B023

        assert Counter(answer.status_code for answer in answers) == {201: 1, 401: RUNNERS - 1}
        won = next(answer.json() for answer in answers if answer.status_code == 201)
        told = scene.control.ask("GET", "/v1/whoami", won["key"]).json()["key"]
        assert (told["robotId"], told["id"]) == (scene.robot_id, won["keyId"])
        assert token not in scene.control.log


@pytest.mark.timeout(600)
def test_a_robot_has_one_driver_whoever_asks_at_once(scene: Scene) -> None:
    wish = {"robotId": scene.robot_id, "deploymentId": scene.deployment_id}
    for _ in range(RACES):
        answers = scene.race(lambda: scene.ask("/v1/sessions", wish))

        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: RUNNERS - 1}
        won = next(answer.json()["sessionId"] for answer in answers if answer.status_code == 201)
        assert {answer.json()["sessionId"] for answer in answers if answer.status_code == 409} == {won}
        scene.ask(f"/v1/sessions/{won}/close", {})


def test_of_many_creates_with_one_idempotency_key_one_makes_something(scene: Scene) -> None:
    answers = scene.race(
        lambda: scene.ask("/v1/keys", {"name": "once", "scopes": ["read"]}, **{"idempotency-key": "the-one"}), CREATES
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    listed = scene.control.ask("GET", "/v1/keys", scene.key).json()["keys"]
    assert [key["name"] for key in listed].count("once") == 1
