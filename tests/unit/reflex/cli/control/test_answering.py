"""The commands of the control plane: what they send, print, and end with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from reflex.cli import app
from reflex.errors import NO_SUCH_ROUTE
from support.control.scripted import ScriptedControl, scripted_control

__all__ = ["scripted_control"]

RUNNER = CliRunner()
KEY = "rfx_of_a_test"
DOCTOR: dict[str, Any] = {
    "deploymentId": "deploy_1", "ready": False, "checkedAt": "2026-01-01T00:00:00.000Z",
    "checks": [
        {"id": "trained", "status": "pass", "message": "it is", "fix": None},
        {"id": "act_reachable", "status": "fail", "message": "nothing answers", "fix": "reflex serve"},
    ],
}  # fmt: skip
SESSION = {"id": "sess_1", "status": "dry_run", "robotId": "robot_1", "steps": 0}
GRANT = {"sessionId": "sess_1", "mode": "dry_run", "credential": "rfx_sess_x", "expiresAt": "t2",
         "credentialExpiresAt": "t1", "actUrl": "http://gpu:8000"}  # fmt: skip
WHO = {"organisation": {"id": "org_1", "name": "lab"},
       "key": {"id": "key_1", "name": "ann", "scopes": ["read", "write"]}}  # fmt: skip


def ask(*arguments: str, key: str | None = KEY, stdin: str | None = None) -> Result:
    return RUNNER.invoke(app, list(arguments), env={"REFLEX_API_KEY": key}, input=stdin)


COMMANDS: list[tuple[list[str], str, object, object, str]] = [
    (["whoami"], "GET /v1/whoami", None, WHO, "ann (key_1) of lab (org_1): read, write\n"),
    (["deploy", "create", "--name", "a", "--model-id", "model_1", "--act-url", "http://a:1", "--act-url", "http://b:1"],
     "POST /v1/deployments",
     {"name": "a", "modelId": "model_1", "runtime": {"actUrl": ["http://a:1", "http://b:1"]}, "mode": "dry_run"},
     {"id": "deploy_1"}, "deploy_1\n"),
    (["deploy", "list"], "GET /v1/deployments", None,
     {"deployments": [{"id": "deploy_1", "name": "a", "modelId": "m", "robotSchemaId": None, "mode": "dry_run"}]},
     "deploy_1  a  m  -  dry_run  not checked\n"),
    (["sessions", "authorize", "--robot-id", "robot_1", "--take-over", "shift"], "POST /v1/sessions",
     {"robotId": "robot_1", "baseModel": "pi0.5", "mode": "dry_run", "takeOver": {"reason": "shift"}}, GRANT,
     ("session     sess_1\nmode        dry_run\nact         http://gpu:8000\ncredential  rfx_sess_x\n"
     "ends        t2; the credential t1, renewed by heartbeats\n")),
    (["sessions", "promote", "sess_1", "--to", "apply_actions"], "POST /v1/sessions/sess_1/promote",
     {"mode": "apply_actions"}, SESSION, "sess_1  dry_run  robot_1  -  0  -  -  -\n"),
    (["sessions", "close", "sess_1"], "POST /v1/sessions/sess_1/close", {"reason": "cli_closed"}, SESSION,
     "sess_1  dry_run  robot_1  -  0  -  -  -\n"),
    (["sessions", "list", "--status", "closed"], "GET /v1/sessions?status=closed", None, {"sessions": []}, ""),
    (["robots", "register", "--name", "arm", "--robot-schema-id", "schema_1"], "POST /v1/robots",
     {"name": "arm", "robotSchemaId": "schema_1"}, {"id": "robot_1"}, "robot_1\n"),
    (["robots", "list"], "GET /v1/robots", None, {"robots": [{"id": "robot_1", "name": "arm", "paired": True}]},
     "robot_1  arm  -  True  -  -  -\n"),
    (["robots", "schemas"], "GET /v1/robot-schemas", None, {"robotSchemas": []}, ""),
    (["robots", "pair", "robot_1", "--ttl-seconds", "60"], "POST /v1/robots/robot_1/pairing-tokens", {"ttlSeconds": 60},
     {"token": "rfx_pair_x", "expiresAt": "t"}, "rfx_pair_x\n"),
    (["robots", "claim", "rfx_pair_x"], "POST /v1/pairing-tokens/claim", {"token": "rfx_pair_x"},
     {"key": "rfx_robot", "robotId": "robot_1"}, "rfx_robot\n"),
    (["robots", "heartbeat", "robot_1", "--steps", "0"], "POST /v1/robots/robot_1/heartbeat", {"steps": 0},
     {"robotId": "robot_1", "mode": "dry_run", "session": None, "serverTime": "t"},
     "mode     dry_run\nsession  none\nclock    t\n"),
    (["receipts", "list", "--after", "3"], "GET /v1/receipts?after=3", None,
     {"receipts": [{"seq": 4, "timestamp": "t", "kind": "promote"}], "nextAfter": 4}, "4  t  promote  -  -  -  -\n"),
    (["models", "list"], "GET /v1/models", None, {"models": []}, ""),
    (["keys", "create", "--name", "a", "--scope", "read", "--scope", "promote"], "POST /v1/keys",
     {"name": "a", "scopes": ["read", "promote"]}, {"key": "rfx_new"}, "rfx_new\n"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("how", ["text", "json"])
@pytest.mark.parametrize(("arguments", "route", "body", "answer", "text"), COMMANDS, ids=lambda each: str(each)[:24])
def test_a_command_sends_one_request_and_prints_its_answer(
    scripted_control: ScriptedControl, how: str, arguments: list[str], route: str, body: object, answer: Any, text: str
) -> None:
    scripted_control.answers[route] = answer
    ended = ask(*arguments, *(["--json"] if how == "json" else []))

    assert ended.exit_code == 0, ended.output
    assert [(each.route, each.body) for each in scripted_control.received] == [(route, body)]
    if how == "json":
        assert json.loads(ended.stdout) == answer
    else:
        assert ended.stdout == text


def error(code: str, **context: object) -> dict[str, object]:
    return {**context, "error": code, "message": "the server's words", "request_id": "req_1"}


ERRORS: list[tuple[int, dict[str, object], int, str]] = [
    (401, error("unauthorized"), 3, "401 Unauthorized: the key was found but the server rejected it"),
    (403, error("forbidden", scope="promote"), 1, "the server's words"),
    (404, error("not_found"), 1, "the server's words"),
    (409, error("deployment_not_ready", checks=DOCTOR["checks"]), 5, "Deployment not ready for apply_actions"),
    (409, error("robot_busy", sessionId="sess_2"), 5, "the server's words"),
    (409, error("wrong_state"), 5, "the server's words"),
    (410, error("session_ended"), 5, "Session expired or already closed"),
    (403, error("session_mode", sessionId="sess_1"), 5, "Session is still in dry_run"),
    (500, error("internal"), 1, "the server's words"),
]


@pytest.mark.parametrize(("status", "answer", "code", "begins"), ERRORS, ids=lambda each: str(each)[:24])
def test_an_error_ends_with_its_exit_code_and_says_itself_in_both_forms(
    scripted_control: ScriptedControl, status: int, answer: dict[str, object], code: int, begins: str
) -> None:
    scripted_control.answers["POST /v1/sessions/sess_1/promote"] = (status, answer)
    promote = ["sessions", "promote", "sess_1", "--to", "apply_actions"]
    told, as_json = ask(*promote), ask(*promote, "--json")
    value = json.loads(as_json.stdout)

    assert (told.exit_code, as_json.exit_code, told.stdout) == (code, code, "")
    assert told.stderr.startswith(f"reflex: {begins}")
    assert list(value)[:4] == ["error", "message", "hint", "request_id"]
    assert (value["error"], value["request_id"]) == (answer["error"], "req_1")
    assert value["message"].startswith(begins)
    assert {name: value[name] for name in answer.keys() - {"message"}} == {
        name: each for name, each in answer.items() if name != "message"
    }


def test_the_hint_of_the_server_is_said(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["GET /v1/whoami"] = (403, error("forbidden", hint="ask an admin"))

    assert ask("whoami").stderr.endswith("\nask an admin\n")
    assert json.loads(ask("whoami", "--json").stdout)["hint"] == "ask an admin"


@pytest.mark.parametrize(
    ("arguments", "key", "code", "begins"),
    [
        (["whoami"], None, 3, "API key is required. Run 'reflex login' or set REFLEX_API_KEY."),
        (["whoami", "--convex-url", "http://127.0.0.1:9"], KEY, 4,
         "Cannot reach the Reflex backend at http://127.0.0.1:9: "),
        (["deploy", "from-spec", "/no/such.yaml"], KEY, 1, "/no/such.yaml cannot be read"),
        (["deploy", "get", "a/b"], KEY, 1, "'a/b' is no id"),
    ],
)  # fmt: skip
def test_what_goes_wrong_before_an_answer_is_told_alike(
    scripted_control: ScriptedControl, arguments: list[str], key: str | None, code: int, begins: str
) -> None:
    told, as_json = ask(*arguments, key=key), ask(*arguments, "--json", key=key)

    assert (told.exit_code, as_json.exit_code) == (code, code)
    assert told.stderr.startswith(f"reflex: {begins}")
    assert json.loads(as_json.stdout)["message"].startswith(begins)


@pytest.mark.parametrize("command", [["doctor"], ["deploy", "doctor"]])
def test_the_doctor_of_a_deployment_says_each_fix_and_ends_with_5(
    scripted_control: ScriptedControl, command: list[str]
) -> None:
    scripted_control.answers["POST /v1/deployments/deploy_1/doctor"] = DOCTOR
    ended = ask(*command, "deploy_1")

    assert ended.exit_code == 5
    assert ended.stdout == (
        "pass  trained        it is\nfail  act_reachable  nothing answers\n                     -> reflex serve\n"
    )
    assert ended.stderr == (
        "Deployment not ready for apply_actions:\n  act_reachable: nothing answers -> reflex serve\n"
    )
    assert json.loads(ask(*command, "deploy_1", "--json").stdout) == DOCTOR


@pytest.mark.parametrize("command", [["doctor"], ["deploy", "doctor"]])
def test_a_deployment_that_is_ready_is_said_to_be_with_what_it_warns_of(
    scripted_control: ScriptedControl, command: list[str]
) -> None:
    warning = {"id": "parity", "status": "warn", "message": "not compared", "fix": "reflex verify"}
    report = {**DOCTOR, "ready": True, "checks": [DOCTOR["checks"][0], warning]}
    scripted_control.answers["POST /v1/deployments/deploy_1/doctor"] = report
    ended = ask(*command, "deploy_1")

    assert (ended.exit_code, ended.stderr) == (0, "Deployment ready.\n")
    assert ended.stdout.splitlines()[1:] == ["warn  parity   not compared", "               -> reflex verify"]


def test_verbose_says_on_stderr_what_is_sent_and_no_key(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["GET /v1/robots"] = {"robots": []}
    ended = ask("robots", "list", "-v")

    assert f"GET {scripted_control.url}/v1/robots" in ended.stderr
    assert KEY not in ended.output


def test_an_answer_of_another_version_is_told_without_a_traceback(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["GET /v1/deployments"] = {"deployments": [7]}
    ended = ask("deploy", "list")

    assert (ended.exit_code, ended.stdout) == (4, "")
    assert "--json shows it whole" in ended.stderr


def test_a_policy_is_registered_by_its_folder(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["POST /v1/models"] = (201, {"id": "model_1"})
    repository = Path(__file__).parents[5] / "model_repository"
    ended = ask("models", "register", str(repository / "demo"))
    body = scripted_control.received[0].body

    assert ended.stdout == "model_1\n"
    assert (body["name"], body["contentHash"]) == ("demo", body["config"]["policy_hash"])


def test_a_schema_is_registered_from_its_file(scripted_control: ScriptedControl, tmp_path: Path) -> None:
    scripted_control.answers["POST /v1/robot-schemas"] = (201, {"id": "schema_1"})
    (tmp_path / "arm.yaml").write_text("name: arm\n")

    assert ask("robots", "register-schema", str(tmp_path / "arm.yaml"), "--name", "arm-v1").stdout == "schema_1\n"
    assert scripted_control.received[0].body == {"name": "arm-v1", "schema": {"name": "arm"}}


def test_a_pairing_token_may_come_from_standard_input(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["POST /v1/pairing-tokens/claim"] = {"key": "rfx_robot", "robotId": "robot_1"}

    assert ask("robots", "claim", "-", key=None, stdin="rfx_pair_x\n").stdout == "rfx_robot\n"
    assert scripted_control.received[0].body == {"token": "rfx_pair_x"}
    assert ask("robots", "claim", "-", key=None, stdin="").exit_code == 1


def test_what_is_no_control_plane_is_told_by_its_address(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["GET /v1/whoami"] = (
        404,
        {"error": "not_found", "message": NO_SUCH_ROUTE, "request_id": "r"},
    )
    ended = ask("whoami")

    assert ended.exit_code == 4
    assert f"at {scripted_control.url}: what answers there is no control plane" in ended.stderr
    assert "--convex-url" in ended.stderr


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "forbidden")])
def test_a_refusal_names_no_key_of_another_server(scripted_control: ScriptedControl, status: int, code: str) -> None:
    told = {"error": code, "message": "make a new one", "request_id": "r"}
    scripted_control.answers["POST /v1/pairing-tokens/claim"] = (status, told)

    answer = json.loads(ask("robots", "claim", "rfx_pair_x", "--json").stdout)
    assert (answer["message"], answer["hint"]) == ("make a new one", None)
