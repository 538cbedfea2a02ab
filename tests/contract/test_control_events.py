"""The stream of events by itself, and what it is for: a session that is closed moves nothing within a second."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from reflex.control import ControlClient
from reflex.model_repository import CONFIG_FILE
from reflex.signed.receipts import verify_lines
from reflex.signed.signing import Keyset
from reflex_bench.nonce_policy import write_nonce_policy
from reflex_control import feed
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.models import register_model
from support.nonce import act_body
from support.nonce_server import one_process_each
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.promise import Promise
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S, wait_until
from unit.reflex_control.scene import a_robot

CLOSED_WITHIN_S: Final = 1.0


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    ours: Tenant
    theirs: Tenant
    actor: Actor
    key: str
    operator: ControlClient
    folder: Path
    deployment_id: str
    robots: tuple[str, str]

    def authorize(self, robot: int = 0) -> tuple[str, str]:
        """Session and credential."""
        grant = self.operator.authorize_session(
            deployment_id=self.deployment_id, robot_id=self.robots[robot], take_over="the next test"
        )
        return grant["sessionId"], grant["credential"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("control")
    write_nonce_policy(folder / "models")
    one_process_each(folder / "models")
    config = json.loads((folder / "models" / "nonce" / CONFIG_FILE).read_text())
    with prepared_store(folder / "data") as (ours, theirs), running_control(folder / "data") as control:
        key, plane = ours.admin(), Plane(ours.store)
        actor = Actor(key.id, "test", ours.organisation_id, frozenset(SCOPES))
        robots = a_robot(plane, actor, "arm-1"), a_robot(plane, actor, "arm-2")
        with plane.writing(actor) as writing:
            made = register_model(writing, "nonce", config["policy_hash"], config, None)
            deployed = create_deployment(writing, "kitchen", made["id"], None, None, "apply_actions", None)
        with ControlClient(control.base_url, api_key=key.secret) as operator:
            yield Scene(control, ours, theirs, actor, key.secret, operator, folder, deployed["id"], robots)


@pytest.fixture(autouse=True)
def nobody_drives(scene: Scene) -> Iterator[None]:
    """After a test: what one leaves driving would be taken over, and told of, in the next."""
    yield
    for session in scene.operator.list_sessions()["sessions"]:
        scene.operator.close_session(session["id"])


class Listener:
    """Reads a stream of events as it comes."""

    caught_up: dict[str, str] | None = None
    """What the stream said when everything up to then had been told."""

    def __init__(self, scene: Scene, key: str, last_id: int | None = None, **query: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} | ({} if last_id is None else {"Last-Event-ID": str(last_id)})
        self._client = httpx.Client(verify=False, timeout=HANGS_S)
        request = self._client.build_request(
            "GET", f"{scene.control.base_url}/v1/events", headers=headers, params=query
        )
        self._response = self._client.send(request, stream=True)
        assert self._response.status_code == 200, self._response.read()
        self._blocks = self._read()
        self.place = next(self._blocks)["id"]

    def _read(self) -> Iterator[dict[str, str]]:
        fields: dict[str, str] = {}
        for line in self._response.iter_lines():
            if not line:
                if fields.get("event") == "caught_up":
                    self.caught_up = json.loads(fields["data"])
                elif fields:
                    yield fields
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def next_of(self, session_id: str) -> dict[str, Any]:
        for block in self._blocks:
            self.place = block["id"]
            data = json.loads(block.get("data", "{}"))
            if data.get("sessionId") == session_id:
                return dict(data)
        raise AssertionError("the stream ended")

    def rest(self) -> list[dict[str, str]]:
        return list(self._blocks)

    def close(self) -> None:
        self._response.close()
        self._client.close()


def test_a_listener_hears_of_each_change_and_goes_on_where_it_was(scene: Scene) -> None:
    listener = Listener(scene, scene.key)
    session_id, _ = scene.authorize()
    assert listener.next_of(session_id)["status"] == "dry_run"
    place = int(listener.place)
    listener.close()

    scene.operator.close_session(session_id, reason="lunch")
    again = Listener(scene, scene.key, place)
    assert again.next_of(session_id)["status"] == "closed"
    again.close()


def test_a_place_that_has_not_come_yet_is_the_newest(scene: Scene) -> None:
    """A store that was restored from a backup counts from there, and its listeners were further."""
    listener = Listener(scene, scene.key, 10**9)
    session_id, _ = scene.authorize()

    assert listener.next_of(session_id)["status"] == "dry_run"
    assert int(listener.place) < 10**9
    listener.close()


def test_who_starts_asks_for_what_happened_lately_and_is_told_when_that_is_all(scene: Scene) -> None:
    session_id, _ = scene.authorize()
    scene.operator.close_session(session_id, reason="lunch")
    listener = Listener(scene, scene.key, recentSeconds="60")

    assert [listener.next_of(session_id)["status"] for _ in range(2)] == ["dry_run", "closed"]
    assert listener.caught_up is None
    later, _ = scene.authorize(1)
    assert listener.next_of(later)["status"] == "dry_run"
    assert listener.caught_up == {"organisationId": scene.ours.organisation_id}
    listener.close()


def test_of_one_kind_nothing_else_is_told_but_its_place(scene: Scene) -> None:
    listener = Listener(scene, scene.key, kind="session")
    place = int(listener.place)
    with Plane(scene.ours.store).writing(scene.actor) as writing:
        writing.tell("weather", {"sessionId": "sess_0"})
    session_id, _ = scene.authorize()

    block = next(listener._blocks)
    while "data" not in block:
        assert int(block["id"]) == place + 1
        block = next(listener._blocks)
    assert json.loads(block["data"])["sessionId"] == session_id
    listener.close()


def test_one_key_has_so_many_streams_and_no_more(scene: Scene) -> None:
    made = scene.operator.create_key(name="greedy", scopes=["read"])
    listeners = [Listener(scene, made["key"]) for _ in range(feed.MAX_STREAMS_OF_A_KEY)]
    refused = scene.control.ask("GET", "/v1/events", made["key"])

    assert (refused.status_code, refused.json()["error"], refused.headers["retry-after"]) == (429, "rate_limited", "10")
    other = Listener(scene, scene.key)
    for listener in (other, *listeners):
        listener.close()
    wait_until(lambda: can_listen(scene, made["key"]), "the places are free again")


def can_listen(scene: Scene, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.stream("GET", f"{scene.control.base_url}/v1/events", headers=headers, verify=False) as answer:
        return answer.status_code == 200


def test_nobody_hears_of_another_organisation(scene: Scene) -> None:
    listener = Listener(scene, scene.key)
    stranger = Actor(scene.theirs.admin().id, "test", scene.theirs.organisation_id, frozenset(SCOPES))
    with Plane(scene.theirs.store).writing(stranger) as writing:
        writing.tell("session", {"sessionId": "sess_theirs", "status": "closed"})
    session_id, _ = scene.authorize(1)
    scene.operator.close_session(session_id)

    heard = [next(listener._blocks) for _ in range(2)]
    assert [json.loads(block["data"])["sessionId"] for block in heard] == [session_id, session_id]
    listener.close()


def test_a_robot_hears_of_its_own_sessions_alone(scene: Scene) -> None:
    listener = Listener(scene, scene.ours.key(robot_id=scene.robots[0]).secret)
    other, _ = scene.authorize(1)
    own, _ = scene.authorize(0)

    block = next(listener._blocks)
    while "data" not in block:  # a place, without what happened there
        block = next(listener._blocks)
    assert json.loads(block["data"])["sessionId"] == own != other
    listener.close()


def test_who_heard_another_store_hears_what_came_of_late_in_this_one(scene: Scene) -> None:
    session_id, _ = scene.authorize()
    scene.operator.close_session(session_id)

    listener = Listener(scene, scene.key, last_id=10**9, recentSeconds="60")
    heard = [listener.next_of(session_id)["status"] for _ in range(2)]
    listener.close()
    assert heard == ["dry_run", "closed"]


def test_heartbeats_are_heard_by_whoever_may_read_and_by_no_robot(scene: Scene) -> None:
    robot = Listener(scene, scene.ours.key(robot_id=scene.robots[0]).secret)
    watcher = Listener(scene, scene.key)
    session_id, _ = scene.authorize(0)
    scene.operator.heartbeat_robot(scene.robots[0], session_id=session_id, steps=50, latency_ms=12.5)
    scene.operator.close_session(session_id)

    assert watcher.next_of(session_id)["status"] == "dry_run"
    heard = watcher.next_of(session_id)
    assert (heard["steps"], heard["latencyMs"], heard["robotId"]) == (50, 12.5, scene.robots[0])
    assert [robot.next_of(session_id)["status"] for _ in range(2)] == ["dry_run", "closed"]
    robot.close()
    watcher.close()


def test_a_stream_ends_when_its_key_is_taken_back(scene: Scene) -> None:
    made = scene.operator.create_key(name="listener", scopes=["read"])
    listener = Listener(scene, made["key"])
    scene.operator.revoke_key(made["id"])

    assert listener.rest() == []
    listener.close()


@pytest.fixture(scope="module")
def frontend(scene: Scene) -> Iterator[ServerProcess]:
    """A server of the policy that believes this control plane."""
    key = scene.ours.key("read").secret
    options = ["--model-repository", str(scene.folder / "models"), "--no-guard"]
    told = {"REFLEX_CONTROL_KEY": key}
    with running_server(*options, "--sessions-from", scene.control.base_url, env=told) as server:
        yield server


def act(server: ServerProcess, credential: str) -> httpx.Response:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {credential}"}
    return httpx.post(f"{server.base_url}/act", headers=headers, content=act_body(1.0), timeout=HANGS_S, verify=False)


def test_a_closed_session_moves_nothing_within_a_second(
    scene: Scene, frontend: ServerProcess, promise: Promise
) -> None:
    session_id, credential = scene.authorize()
    wait_until(lambda: act(frontend, credential).status_code == 200, "the credential is believed")
    assert act(frontend, credential).json()["mode"] == "dry_run"

    scene.operator.close_session(session_id, reason="lunch")
    took_s = wait_until(lambda: act(frontend, credential).status_code == 401, "the session is refused")

    promise("a session that was closed gets no answer", took_s, at_most=CLOSED_WITHIN_S)
    assert act(frontend, credential).json()["error"] == "session_expired"


@pytest.mark.slow
def test_a_new_signing_key_needs_no_restart_and_takes_nothing_back(scene: Scene, frontend: ServerProcess) -> None:
    _, before = scene.authorize(0)
    wait_until(lambda: act(frontend, before).status_code == 200, "the credential is believed")
    rotated = subprocess.run(
        [sys.executable, "-m", "reflex.cli", "control", "rotate-signing-key", "--data", str(scene.folder / "data")],
        capture_output=True, text=True, timeout=HANGS_S, check=True,
    )  # fmt: skip
    _, after = scene.authorize(1)

    wait_until(lambda: act(frontend, after).status_code == 200, "the new key is learnt")
    assert act(frontend, before).status_code == 200
    keyset = Keyset.from_json(json.dumps(scene.operator.public_keys()))
    verdict = verify_lines(scene.operator.export_receipts().splitlines(keepends=True), keyset)
    assert (verdict.is_whole, len(keyset.keys)) == (True, 2)
    kid = rotated.stderr.split()[0]
    assert " signs from now on; the key before is trusted until 20" in rotated.stderr
    (receipt,) = scene.operator.list_receipts(kind="signing_key_rotated")["receipts"]
    assert (receipt["reason"], receipt["keyId"]) == (kid, kid)
