"""A frontend under load while sessions are closed, and while its control plane is killed and comes back.

`REFLEX_CHAOS_AWAY_S` is for how long the control plane is away.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx
import pytest

from reflex.control import ControlClient
from reflex.model_repository import CONFIG_FILE
from reflex.signed.session_credential import issue, read
from reflex_bench.nonce_policy import write_nonce_policy
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.moments import now_ms
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.models import register_model
from reflex_control.sessions.beating import close_session
from reflex_control.signing_keys import active_key, keyset
from support.nonce import act_body
from support.nonce_server import one_process_each
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.promise import Promise
from support.server import ServerProcess, free_port, running_server
from support.waiting import HANGS_S, let_pass, wait_until
from unit.reflex_control.scene import a_robot

pytestmark = pytest.mark.slow

AWAY_S: Final = float(os.environ.get("REFLEX_CHAOS_AWAY_S", "1"))
RATE_HZ: Final = 50
THREADS: Final = 5
OVERLOADED: Final = frozenset({"queue_full", "deadline_exceeded", "slo_violation"})
"""What a busy machine may answer, whatever the control plane does."""


@dataclass
class Load:
    """Asks for chunks at a rate; keeps when each was asked for, when its answer came, and `ok` or the error's code."""

    server: ServerProcess
    credential: str
    answers: list[tuple[float, float, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def codes(self, since: float = 0.0) -> set[str]:
        return {code for asked_at, _, code in list(self.answers) if asked_at >= since} - OVERLOADED

    def last_ok(self) -> float:
        """When the last chunk came."""
        return max(came_at for _, came_at, code in list(self.answers) if code == "ok")

    def ask(self) -> None:
        with httpx.Client(base_url=self.server.base_url, timeout=HANGS_S, verify=False) as client:
            while not self.over.wait(THREADS / RATE_HZ):
                asked_at = time.monotonic()
                answer = post(client, self.credential)
                code = "ok" if answer.status_code == 200 else answer.json()["error"]
                self.answers.append((asked_at, time.monotonic(), code))


@contextlib.contextmanager
def loading(server: ServerProcess, credential: str) -> Iterator[Load]:
    load = Load(server, credential)
    threads = [threading.Thread(target=load.ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: load.codes() == {"ok"}, "the credential is believed")
        yield load
    finally:
        load.over.set()
        for thread in threads:
            thread.join()


def post(client: httpx.Client, credential: str) -> httpx.Response:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {credential}"}
    return client.post("/act", headers=headers, content=act_body(1.0))


@dataclass
class Scene:
    """A control plane that can be killed and started again, and a frontend that believes it."""

    folder: Path
    port: int
    stack: contextlib.ExitStack
    ours: Tenant
    actor: Actor
    key: str
    deployment_id: str
    robots: tuple[str, str]
    control: ControlProcess
    server: ServerProcess

    @property
    def operator(self) -> ControlClient:
        return ControlClient(f"http://127.0.0.1:{self.port}", api_key=self.key)

    def authorize(self, robot: int) -> tuple[str, str]:
        """Session and credential."""
        with self.operator as operator:
            grant = operator.authorize_session(
                deployment_id=self.deployment_id, robot_id=self.robots[robot], take_over="the next test"
            )
        return grant["sessionId"], self.beat(robot, grant["sessionId"])

    def beat(self, robot: int, session_id: str) -> str:
        """The new credential."""
        with self.operator as operator:
            return str(operator.heartbeat_robot(self.robots[robot], session_id=session_id)["credential"])

    @property
    def stale(self) -> str | None:
        told: str | None = self.server.health().json().get("sessions")
        return told

    def short(self, credential: str, life_s: float) -> str:
        """The same session's, for less time."""
        with self.ours.store.reading() as connection:
            claims = read(credential, keyset(connection), now_ms())
            return issue(replace(claims, expires_at_ms=now_ms() + int(1000 * life_s)), active_key(connection))

    def kill(self) -> None:
        self.control.stop(signal.SIGKILL)

    def start(self) -> None:
        self.control = self.stack.enter_context(running_control(self.folder / "data", port=self.port))

    def close_elsewhere(self, session_id: str) -> None:
        """As another replica does on the same store, which has just started, too."""
        with Plane(self.ours.store, deaf_until=now_ms).writing(self.actor) as writing:
            close_session(writing, session_id, "by another replica")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder, port = tmp_path_factory.mktemp("outage"), free_port()
    write_nonce_policy(folder / "models")
    one_process_each(folder / "models")
    config = json.loads((folder / "models" / "nonce" / CONFIG_FILE).read_text())
    with prepared_store(folder / "data") as (ours, _), contextlib.ExitStack() as stack:
        key, plane = ours.admin(), Plane(ours.store)
        actor = Actor(key.id, "test", ours.organisation_id, frozenset(SCOPES))
        robots = a_robot(plane, actor, "arm-1"), a_robot(plane, actor, "arm-2")
        with plane.writing(actor) as writing:
            made = register_model(writing, "nonce", config["policy_hash"], config, None)
            deployed = create_deployment(writing, "kitchen", made["id"], None, None, "dry_run", None)
        options = ["--model-repository", str(folder / "models"), "--no-guard"]
        told = {"REFLEX_CONTROL_KEY": ours.key("read").secret}
        control = stack.enter_context(running_control(folder / "data", port=port))
        server = stack.enter_context(running_server(*options, "--sessions-from", control.base_url, env=told))
        scene = Scene(folder, port, stack, ours, actor, key.secret, deployed["id"], robots, control, server)
        wait_until(lambda: scene.stale is None, "the control plane is heard")
        yield scene


def test_a_session_that_is_closed_under_load_gets_no_answer_and_no_other_notices(
    scene: Scene, promise: Promise
) -> None:
    (session_id, closed), (_, other) = scene.authorize(0), scene.authorize(1)
    with loading(scene.server, closed) as load, loading(scene.server, other) as bystander:
        closed_at = time.monotonic()
        with scene.operator as operator:
            operator.close_session(session_id, reason="lunch")
        wait_until(lambda: "session_expired" in load.codes(), "the session is refused")
        refused_at = time.monotonic()
        wait_until(lambda: len(load.answers) > 0 and load.answers[-1][0] > refused_at + 1, "and stays so")
        wait_until(lambda: len(bystander.codes(refused_at)) == 1, "the other one goes on")

    assert load.codes(refused_at) == {"session_expired"}
    assert bystander.codes() == {"ok"}
    promise("under 50 requests a second a session that was closed gets no answer", load.last_ok() - closed_at,
            at_most=1.0)  # fmt: skip


@pytest.mark.timeout(600)
def test_without_its_control_plane_every_session_lives_on_to_its_credentials_end_and_then_all_comes_back(
    scene: Scene,
) -> None:
    (living_id, living), (ending_id, ending) = scene.authorize(0), scene.authorize(1)
    with (
        loading(scene.server, living) as lives,
        loading(scene.server, ending) as ends,
        loading(scene.server, scene.short(living, AWAY_S / 2)) as expires,
    ):
        scene.kill()
        killed_at = time.monotonic()
        wait_until(lambda: scene.stale is not None, "it is noticed that nobody is heard")
        wait_until(lambda: "session_expired" in expires.codes(), "a credential that is not renewed ends")
        let_pass(max(0.0, killed_at + AWAY_S - time.monotonic()))
        scene.close_elsewhere(ending_id)
        assert lives.codes() == ends.codes() == {"ok"}

        scene.start()
        wait_until(lambda: scene.stale is None, "the control plane is heard again")
        wait_until(lambda: "session_expired" in ends.codes(), "what was closed meanwhile is learnt")
        lives.credential = scene.beat(0, living_id)
        again_at = time.monotonic()
        wait_until(lambda: "ok" in lives.codes(again_at), "the new credential is believed")
        assert lives.codes() == {"ok"}

    with scene.operator as operator:
        told = {session["id"]: session["status"] for session in operator.list_sessions()["sessions"]}
    assert (told[living_id], told[ending_id]) == ("dry_run", "closed")
