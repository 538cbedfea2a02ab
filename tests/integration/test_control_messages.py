"""The messages that are fixed, each provoked at a real control plane: word for word, with exit code and class."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

import reflex
from reflex.api_keys import new_key
from reflex.cli import app
from reflex.control.errors import (
    BackendUnreachableError,
    DeploymentNotReadyError,
    KeyRejectedError,
    MissingKeyError,
    SessionGoneError,
    SessionInDryRunError,
)
from reflex.errors import ReflexError
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.promise import Promise
from support.server import free_port
from support.waiting import HANGS_S, wait_until
from unit.reflex_control.scene import a_model, a_robot

ERROR: Final = ["error", "message", "hint", "request_id"]
UNREACHABLE_FIX: Final = "Start it there with 'reflex control serve', or unset or fix --convex-url / REFLEX_CONVEX_URL."


@dataclass(frozen=True)
class Lab:
    control: ControlProcess
    ours: Tenant
    key: str
    robot_id: str
    second: str
    """Another robot, which nobody drives."""
    deployment_id: str
    waiting: str
    """A session in dry_run, with the clientSessionId `mine`."""
    closed: str
    folder: Path
    nowhere: str

    def command(self, *arguments: str, key: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), env={**self.environment(), "REFLEX_API_KEY": key})

    def environment(self) -> dict[str, str]:
        """Of somebody who is not logged in."""
        return {"REFLEX_CONVEX_URL": self.control.base_url, "REFLEX_CONFIG_DIR": str(self.folder)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("control")
    with prepared_store(folder / "data") as (ours, _), running_control(folder / "data") as control:
        admin, plane = ours.admin(), Plane(ours.store)
        actor = Actor(admin.id, "test", ours.organisation_id, frozenset(SCOPES))
        first, second, model_id = a_robot(plane, actor), a_robot(plane, actor, "arm-2"), a_model(plane, actor)["id"]
        with plane.writing(actor) as writing:
            made = create_deployment(writing, "kitchen", model_id, None, None, "apply_actions", None)
        where = {"api_key": admin.secret, "backend_url": control.base_url}
        asked = {"deployment_id": made["id"], **where}
        waiting = reflex.authorize_session(robot_id=first, client_session_id="mine", **asked)["sessionId"]
        closed = reflex.authorize_session(robot_id=second, **asked)["sessionId"]
        reflex.close_session(closed, **where)
        yield Lab(control, ours, admin.secret, first, second, made["id"], waiting, closed, folder / "config",
                  f"http://127.0.0.1:{free_port()}")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """`says` is the whole message, with `*` for what no document promises."""

    says: str
    code: int
    error: str
    kind: type[ReflexError]
    arguments: Callable[[Lab], list[str]]
    call: Callable[[Lab, dict[str, Any]], object]
    key: Callable[[Lab], str | None] = lambda lab: lab.key


def promoted(lab: Lab, where: dict[str, Any]) -> object:
    return reflex.promote_session(lab.waiting, **where)


CASES: Final = {
    "no key in any slot": Case(
        "API key is required. Run 'reflex login' or set REFLEX_API_KEY.", 3, "api_key_required", MissingKeyError,
        lambda _lab: ["whoami"], lambda _lab, where: reflex.whoami(**where), key=lambda _lab: None,
    ),
    "401": Case(
        "401 Unauthorized: the key was found but the server rejected it; most likely it was rotated or revoked. "
        "Run 'reflex login' to fetch a fresh key.",
        3, "unauthorized", KeyRejectedError, lambda _lab: ["whoami"], lambda _lab, where: reflex.whoami(**where),
        key=lambda _lab: new_key(),
    ),
    "backend unreachable": Case(
        f"Cannot reach the Reflex backend at {{nowhere}}: *. {UNREACHABLE_FIX}", 4, "backend_unreachable",
        BackendUnreachableError, lambda lab: ["robots", "list", "--convex-url", lab.nowhere],
        lambda lab, where: reflex.list_robots(**{**where, "backend_url": lab.nowhere}),
    ),
    "doctor not passed": Case(
        "Deployment not ready for apply_actions: *reflex doctor {deployment_id}*", 5, "deployment_not_ready",
        DeploymentNotReadyError,
        lambda lab: ["sessions", "promote", lab.waiting, "--to", "apply_actions"], promoted,
    ),
    "session in dry_run": Case(
        "Session is still in dry_run: promote it with 'reflex sessions promote {waiting} --to apply_actions'.", 5,
        "session_mode", SessionInDryRunError,
        lambda lab: ["sessions", "authorize", "--robot-id", lab.robot_id, "--deployment-id", lab.deployment_id,
                     "--client-session-id", "mine", "--mode", "apply_actions"],
        lambda lab, where: reflex.authorize_session(
            robot_id=lab.robot_id, deployment_id=lab.deployment_id, client_session_id="mine", mode="apply_actions",
            **where
        ),
    ),
    "session gone": Case(
        "Session expired or already closed*. Start a fresh session.", 5, "session_ended", SessionGoneError,
        lambda lab: ["sessions", "promote", lab.closed, "--to", "apply_actions"],
        lambda lab, where: reflex.promote_session(lab.closed, **where),
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def holds(message: str, case: Case, lab: Lab) -> bool:
    """Word by word, in all its lines."""
    wanted = re.escape(case.says.format_map(vars(lab))).replace(r"\*", ".*")
    return re.fullmatch(wanted, message, re.DOTALL) is not None


@pytest.mark.slow
@EACH
def test_the_command_says_it_and_ends_with_its_code(lab: Lab, case: Case) -> None:
    ended = lab.command(*case.arguments(lab), key=case.key(lab))

    assert (ended.exit_code, ended.stdout) == (case.code, "")
    assert ended.stderr.startswith("reflex: ")
    assert holds(ended.stderr.removeprefix("reflex: ").removesuffix("\n"), case, lab), ended.stderr


@EACH
def test_under_json_it_is_one_value_with_what_to_do_next(lab: Lab, case: Case) -> None:
    ended = lab.command(*case.arguments(lab), "--json", key=case.key(lab))
    value = json.loads(ended.stdout)

    assert (ended.exit_code, ended.stderr) == (case.code, "")
    assert list(value)[:4] == ERROR
    assert value["error"] == case.error
    assert holds(value["message"], case, lab), value
    assert value["hint"]


@EACH
def test_the_sdk_raises_it(lab: Lab, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFLEX_API_KEY", raising=False)
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    key = case.key(lab)
    with pytest.raises(case.kind) as raised:
        case.call(lab, {} if key is None else {"api_key": key})

    assert holds(str(raised.value), case, lab), raised.value


def test_the_doctor_and_a_promotion_after_it_name_each_failed_check(lab: Lab) -> None:
    where: dict[str, Any] = {"api_key": lab.key, "backend_url": lab.control.base_url}
    model_id = reflex.list_models(**where)["models"][0]["id"]
    other: dict[str, Any] = {"mode": "apply_actions", **where}
    deployment_id = reflex.create_deployment(name="examined", model_id=model_id, **other)["id"]
    session_id = reflex.authorize_session(deployment_id=deployment_id, robot_id=lab.second, **where)["sessionId"]

    examined = lab.command("doctor", deployment_id, key=lab.key)
    promotion = lab.command("sessions", "promote", session_id, "--to", "apply_actions", key=lab.key)

    failed = [line.split()[1] for line in examined.stdout.splitlines() if line.startswith("fail  ")]
    assert failed
    assert examined.stderr.startswith("Deployment not ready for apply_actions:\n")
    assert promotion.stderr.startswith("reflex: Deployment not ready for apply_actions:\n")
    for ended in (examined, promotion):
        assert ended.exit_code == 5
        assert all(f"\n  {check}: " in ended.stderr for check in failed)


@pytest.mark.slow
def test_whoami_is_refused_within_a_second_of_a_revocation_by_another_process(lab: Lab, promise: Promise) -> None:
    key = lab.ours.key("read")
    assert lab.command("whoami", key=key.secret).exit_code == 0
    revoking = [sys.executable, "-m", "reflex.cli", "keys", "revoke", key.id]
    environment = {**os.environ, **lab.environment(), "REFLEX_API_KEY": lab.key}
    subprocess.run(revoking, env=environment, check=True, capture_output=True, timeout=HANGS_S)

    revoked_at = time.monotonic()
    wait_until(lambda: lab.command("whoami", key=key.secret).exit_code != 0, "the key is refused", timeout_s=HANGS_S)
    took_s = time.monotonic() - revoked_at

    ended = lab.command("whoami", key=key.secret)
    assert ended.exit_code == 3
    assert ended.stderr.startswith("reflex: 401 Unauthorized: the key was found but the server rejected it")
    promise("whoami is refused within 1 s of a revocation", took_s, at_most=1.0)
