"""An examination: healthy passes whole, everything is looked at anew, and the verdict is kept with its receipt."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import QueuePool, select
from typer.core import TyperGroup

from docs.commands import built_once
from docs.documents import REPOSITORY
from reflex.cli import app
from reflex.errors import ServiceError
from reflex.signed.session_credential import read
from reflex_control import doctor
from reflex_control.doctor import examining
from reflex_control.doctor.examining import NO_POLICY, examine
from reflex_control.places import Places
from reflex_control.sessions import fitness
from reflex_control.sessions.promoting import promote_session
from reflex_control.signing_keys import keyset
from reflex_control.store.tables import deployment, receipt
from unit.reflex_control.doctor.doctor_scene import Frontend, Scene, frontend

CHECKS = [
    "model_registered", "act_reachable", "model_loaded", "model_version", "trained", "parity", "normalisation",
    "schema_bound", "state_dim", "action_dim", "units", "cameras", "limits", "safe_stop_declared", "robot_paired",
    "heartbeat_fresh", "calibration", "dry_run_seen", "clock",
]  # fmt: skip
WORD = "[a-z]+(?:-[a-z]+)*"
A_COMMAND = re.compile(rf'\breflex ({WORD}(?: {WORD})*)([^\n"]*?)(?=\breflex |[\n"])')


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_check_has_a_row_in_the_documents_and_every_row_a_check() -> None:
    page = (REPOSITORY / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = page.partition("\n## The checks\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z_]+)` \|", rows, re.MULTILINE) == CHECKS


def test_every_command_of_a_fix_is_one_with_such_options() -> None:
    texts = [path.read_text() for path in (*Path(doctor.__path__[0]).glob("*.py"), Path(str(fitness.__file__)))]
    lines = A_COMMAND.findall("\n".join(texts))
    assert len(lines) > 15
    for words, rest in lines:
        command = command_of(words.split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (words, rest)


def command_of(words: list[str]) -> Any:
    found: Any = built_once(app)
    while words and isinstance(found, TyperGroup):
        found = found.commands[words.pop(0)]
    assert not isinstance(found, TyperGroup)
    return found


def receipts(scene: Scene) -> list[dict[str, Any]]:
    with scene.plane.reading() as connection:
        return [json.loads(body) for body in connection.scalars(select(receipt.c.body).order_by(receipt.c.seq))]


def test_a_healthy_deployment_passes_every_check_and_its_session_is_promoted(scene: Scene) -> None:
    report = scene.examine()

    assert {check["id"]: check["status"] for check in report["checks"]} == dict.fromkeys(CHECKS, "pass")
    assert [check["id"] for check in report["checks"]] == CHECKS
    assert {check["fix"] for check in report["checks"]} == {None}
    assert (report["ready"], report["deploymentId"]) == (True, scene.deployment_id)
    with scene.plane.writing(scene.operator) as writing:
        session_id = scene.live_session(writing.connection)
        assert promote_session(writing, session_id).row.mode == "apply_actions"


def test_the_verdict_is_kept_with_a_receipt_in_one_transaction(scene: Scene, one: Frontend) -> None:
    one.health["guard_active"] = False
    report = scene.examine()

    last = receipts(scene)[-1]
    assert (last["kind"], last["reason"], last["deploymentId"]) == ("doctor", "failed: limits", scene.deployment_id)
    assert last["modelVersion"] == "pick@abababababab"
    with scene.plane.reading() as connection:
        kept = connection.execute(select(deployment.c.doctor, deployment.c.doctor_at)).one()
    assert (kept.doctor, kept.doctor_at) == (report, scene.at_ms)
    one.health.clear()
    scene.examine()
    assert receipts(scene)[-1]["reason"] == "ready"


def test_no_transaction_is_open_while_frontends_are_asked(scene: Scene, one: Frontend) -> None:
    pool, in_use = scene.database.engine.pool, []
    assert isinstance(pool, QueuePool)
    one.while_asked = lambda: in_use.append(pool.checkedout())

    assert scene.examine()["ready"] is True
    assert in_use == [0, 0, 0]


def test_what_changes_while_frontends_are_asked_counts(scene: Scene, one: Frontend) -> None:
    one.while_asked = lambda: scene.change(deployment, robot_schema_id=None)
    assert scene.examine()["ready"] is False


def test_the_credential_that_a_frontend_gets_shows_its_configuration_and_drives_nothing(
    scene: Scene, one: Frontend
) -> None:
    scene.examine()

    assert [(path, secret is not None) for path, secret in one.asked] == [
        ("/health", False), ("/config", False), ("/config", True),
    ]  # fmt: skip
    with scene.plane.reading() as connection:
        claims = read(str(one.asked[-1][1]).removeprefix("Bearer "), keyset(connection), scene.at_ms)
    assert (claims.model_hash, claims.mode, claims.robot_id) == (NO_POLICY, "dry_run", None)
    assert claims.expires_at_ms - scene.at_ms == 10_000


def test_an_open_frontend_gets_no_credential(scene: Scene, one: Frontend) -> None:
    one.is_guarded = False
    scene.examine()
    assert {secret for _, secret in one.asked} == {None}


@pytest.mark.slow
def test_each_of_several_frontends_must_pass_and_the_one_that_does_not_is_named(scene: Scene, one: Frontend) -> None:
    with frontend(lambda: scene.at_ms) as other:
        second = scene.deploy([one.url, other.url], "both")
        scene.change_owner_of_rehearsal(second)
        assert scene.not_passed(second) == {}
        other.health["policy_hash"] = "sha256:" + "cd" * 32
        checks = scene.checks(second)

    assert [name for name, check in checks.items() if check["status"] != "pass"] == ["model_version"]
    assert other.url in checks["model_version"]["message"]
    assert one.url not in checks["model_version"]["message"]


def test_a_deployment_of_nobody_and_of_another_organisation_is_not_found(scene: Scene, one: Frontend) -> None:
    stranger = Scene(scene.database)
    for actor, identity in ((scene.operator, "deploy_none"), (stranger.operator, scene.deployment_id)):
        with pytest.raises(ServiceError) as refused:
            examine(scene.plane, actor, identity)
        assert refused.value.status == 404
    assert one.asked == []


@pytest.mark.slow
def test_no_more_are_examined_at_once_than_the_server_has_threads_for(
    scene: Scene, one: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "_places", Places(1, 1, "busy"))
    refused: list[ServiceError] = []

    def again() -> None:
        with pytest.raises(ServiceError) as info:
            scene.examine()
        refused.append(info.value)
        one.while_asked = lambda: None

    one.while_asked = again
    assert scene.examine()["ready"] is True
    assert [(error.code, error.retry_after_s) for error in refused] == [("rate_limited", 2.0)]
    assert scene.examine()["ready"] is True


def test_a_message_shows_nothing_that_moves_a_terminal_and_has_an_end(scene: Scene, one: Frontend) -> None:
    one.status["/health"] = 503
    one.health |= {"status": "degraded", "reason": "\x1b[2J" + "a" * 5_000}
    message = scene.checks()["model_loaded"]["message"]

    assert message.isprintable()
    assert len(message) < 1_100


def test_what_was_looked_at_later_is_not_overtaken_by_an_older_look(scene: Scene, one: Frontend) -> None:
    def meanwhile() -> None:
        one.while_asked = lambda: None
        scene.at_ms += 1
        one.health["guard_active"] = False
        assert scene.examine()["ready"] is False
        one.health.clear()
        scene.at_ms += 1

    one.while_asked = meanwhile
    assert scene.examine()["ready"] is True
    with scene.plane.reading() as connection:
        kept = connection.execute(select(deployment.c.doctor, deployment.c.doctor_at)).one()
    assert (kept.doctor["ready"], kept.doctor_at) == (False, scene.at_ms - 1)
    assert [each["reason"] for each in receipts(scene)[-2:]] == ["failed: limits", "ready"]


@pytest.mark.slow
def test_of_two_looks_at_the_same_moment_the_later_verdict_is_kept(scene: Scene, one: Frontend) -> None:
    for is_on in (False, True, False):
        one.health["guard_active"] = is_on
        scene.examine()
        with scene.plane.reading() as connection:
            kept: Any = connection.scalar(select(deployment.c.doctor))
        assert kept["ready"] is is_on


def test_a_verdict_is_as_old_as_its_first_look(scene: Scene, one: Frontend) -> None:
    began_ms = scene.at_ms

    def later() -> None:
        scene.at_ms += 500

    one.while_asked = later
    scene.examine()
    with scene.plane.reading() as connection:
        assert connection.scalar(select(deployment.c.doctor_at)) == began_ms


def test_a_doctor_looks_at_four_deployments_of_an_organisation_and_at_sixteen_of_all() -> None:
    places = examining._places
    with ExitStack() as held:
        for organisation_id in "abcd":
            for _ in range(4):
                held.enter_context(places.taken(organisation_id))
            with pytest.raises(ServiceError), places.taken(organisation_id):
                raise AssertionError
        with pytest.raises(ServiceError), places.taken("e"):
            raise AssertionError
