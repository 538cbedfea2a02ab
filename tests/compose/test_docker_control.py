"""The control plane of compose.yaml on a real Docker engine: its first key, a session through the frontend, its data.

The tests run in their order: the last ones kill, stop and restore what the first ones made.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from compose.engine import PROJECT, Engine
from compose.stack import Stack, running_stack
from docs.documents import REPOSITORY, blocks_of
from reflex.control import ControlClient
from reflex.errors import UnauthorizedError
from reflex.sdk.files import read_policy
from support.waiting import HANGS_S, wait_until

KEY = re.compile(r"rfx_[0-9A-Za-z]{36}")
ACT = json.loads((REPOSITORY / "examples" / "act.json").read_text(encoding="utf-8"))
READY_S = 40.0
FRANKA = json.loads((REPOSITORY / "src/reflex/embodiments/franka.json").read_text(encoding="utf-8"))
STOPS = {"hold_after_ms": 200, "stop_after_ms": 1000, "ladder": ["hold"]}


@dataclass(frozen=True)
class Place:
    """The stack, and what the control plane gave out."""

    stack: Stack
    admin_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.engine.environment['REFLEX_CONTROL_PORT']}"

    def client(self) -> ControlClient:
        return ControlClient(self.url, api_key=self.admin_key)

    def act(self, credential: str | None) -> httpx.Response:
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        return httpx.post(f"{self.stack.url}/act", json=ACT, headers=headers, timeout=HANGS_S)

    def waits_until_it_answers(self) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, "the control plane answers", timeout_s=READY_S)


def on_a_terminal(engine: Engine, code: str) -> str:
    """What a block of the guide prints, in a shell of the reader's; places as in this project."""
    environment = {**engine.environment, "COMPOSE_PROJECT_NAME": PROJECT}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], cwd=REPOSITORY, env=environment,
        capture_output=True, text=True, timeout=HANGS_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def block_of(document: str, beginning: str) -> str:
    [code] = [block.code for block in blocks_of(REPOSITORY / "docs" / document) if block.code.startswith(beginning)]
    return code


@pytest.fixture(scope="module")
def place(engine: Engine) -> Iterator[Place]:
    """With the admin key that the guide's own command prints."""
    with running_stack(engine) as stack:
        said = on_a_terminal(stack.engine, block_of("docker.md", "docker compose exec control reflex control init"))
        [key] = KEY.findall(said)
        yield Place(stack, key)


@pytest.fixture(scope="module")
def asked(place: Place) -> Place:
    """The frontend asks for sessions, as the guide has it."""
    code = block_of("docker.md", "FRONTEND_KEY=")
    code = code.replace("rfx_...", place.admin_key)
    on_a_terminal(place.stack.engine, code)
    [key] = [each for each in environment_of(place, "frontend") if each.startswith("REFLEX_CONTROL_KEY=")]
    engine = place.stack.engine.with_environment(
        REFLEX_SESSIONS_FROM="http://control:8100", REFLEX_CONTROL_KEY=key.partition("=")[2]
    )
    return replace(place, stack=Stack(engine, place.stack.port))


@pytest.fixture(scope="module")
def deployed(asked: Place) -> tuple[str, str]:
    """A deployment of the demo policy and a robot for it."""
    policy = read_policy(REPOSITORY / "model_repository" / "demo")
    with asked.client() as client:
        model = client.register_model(name="demo", content_hash=policy.content_hash, config=policy.config)
        schema = client.register_robot_schema(
            name="franka", schema={**FRANKA, "cameras": [], "safe_stop": STOPS, "simulation": True}
        )
        robot = client.register_robot(name="arm-1", robot_schema_id=schema["id"])
        made = client.create_deployment(
            name="demo", model_id=model["id"], robot_schema_id=schema["id"],
            runtime={"actUrl": "http://frontend:8000"},
        )  # fmt: skip
    return made["id"], robot["id"]


def environment_of(place: Place, service: str) -> list[str]:
    found: list[str] = place.stack.engine.container(service)["Config"]["Env"]
    return found


def test_the_first_key_is_told_once_and_stands_in_no_log(place: Place) -> None:
    log = place.stack.engine.compose("logs", "control")
    again = place.stack.engine.compose("exec", "--no-TTY", "control", "reflex", "control", "init", check=False)

    assert KEY.findall(log) == []
    assert "its first key already" in again
    with place.client() as client:
        assert "admin" in client.whoami()["key"]["scopes"]


def test_without_being_told_the_frontend_asks_for_no_session_and_needs_no_control_plane(place: Place) -> None:
    place.stack.engine.compose("stop", "control")
    place.stack.engine.compose("restart", "frontend")
    place.stack.wait_ready(READY_S)
    try:
        assert place.act(None).status_code == 200
    finally:
        place.stack.engine.compose("start", "control")
        place.waits_until_it_answers()


def test_a_session_of_the_control_plane_is_answered_by_the_frontend_until_it_is_closed(
    asked: Place, deployed: tuple[str, str]
) -> None:
    with asked.client() as client:
        granted = client.authorize_session(deployment_id=deployed[0], robot_id=deployed[1])
        wait_until(lambda: asked.act(granted["credential"]).status_code == 200, "the session is answered")
        answer: dict[str, Any] = asked.act(granted["credential"]).json()
        client.close_session(granted["sessionId"])

    assert answer["mode"] == "dry_run"
    assert len(answer["actions"]) == 50
    assert asked.act(None).json()["error"] == "unauthorized"
    wait_until(lambda: asked.act(granted["credential"]).json().get("error") == "session_expired", "it is over")


def test_the_doctor_of_a_deployment_reaches_the_frontend_inside_the_stack(
    asked: Place, deployed: tuple[str, str]
) -> None:
    with asked.client() as client:
        checks = client.run_deployment_doctor(deployed[0])["checks"]

    found = {each["id"]: each["status"] for each in checks}
    assert {name: found[name] for name in ("act_reachable", "model_loaded", "model_version")} == {
        "act_reachable": "pass", "model_loaded": "pass", "model_version": "pass",
    }, checks  # fmt: skip


def test_a_session_is_answered_while_the_control_plane_is_away(asked: Place, deployed: tuple[str, str]) -> None:
    with asked.client() as client:
        granted = client.authorize_session(deployment_id=deployed[0], robot_id=deployed[1])
        asked.stack.engine.compose("stop", "control")
        status = asked.act(granted["credential"]).status_code
        asked.stack.engine.compose("start", "control")
        asked.waits_until_it_answers()
        client.close_session(granted["sessionId"])

    assert status == 200


def test_a_frontend_that_starts_while_the_control_plane_is_away_answers_by_the_keyset_that_was_left_to_it(
    asked: Place, deployed: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "keyset.json").write_bytes(httpx.get(f"{asked.url}/v1/keyset").content)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    engine = asked.stack.engine.with_environment(REFLEX_KEYS_FOLDER=str(tmp_path))
    with asked.client() as client:
        granted = client.authorize_session(deployment_id=deployed[0], robot_id=deployed[1])
        engine.compose("stop", "control")
        engine.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "frontend")
        statuses = [asked.act(credential).status_code for credential in (granted["credential"], None)]
        engine.compose("start", "control")
        asked.waits_until_it_answers()
        client.close_session(granted["sessionId"])

    assert statuses == [200, 401]


def test_a_killed_control_plane_comes_back_with_all_that_it_acknowledged(asked: Place) -> None:
    with asked.client() as client:
        made = client.create_key(name="kept", scopes=["read"])
    os.kill(asked.stack.engine.container("control")["State"]["Pid"], signal.SIGKILL)
    asked.waits_until_it_answers()

    with ControlClient(asked.url, api_key=made["key"]) as client:
        assert client.whoami()["key"]["name"] == "kept"


def test_a_backup_is_restored_as_the_guide_has_it(asked: Place) -> None:
    code = block_of("control-backup.md", "(umask 077; docker compose exec")
    backup = REPOSITORY / "control-backup.db"
    made = []

    try:
        on_a_terminal(asked.stack.engine, code.partition("\n")[0])
        with asked.client() as client:
            made.append(client.create_key(name="after the backup", scopes=["read"])["key"])
        assert backup.stat().st_mode & 0o077 == 0
        on_a_terminal(asked.stack.engine, code.partition("\n")[2])
    finally:
        backup.unlink(missing_ok=True)

    asked.waits_until_it_answers()
    with asked.client() as client:
        assert [each["name"] for each in client.list_keys()["keys"]].count("after the backup") == 0
    with ControlClient(asked.url, api_key=made[0]) as client, pytest.raises(UnauthorizedError):
        client.whoami()
