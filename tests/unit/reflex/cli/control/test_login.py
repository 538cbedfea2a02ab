"""`reflex login` and `reflex logout`: what is stored, and what a login waits for."""

from __future__ import annotations

import json
import os
import platform
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reflex.cli import app
from support.control.scripted import ScriptedControl, scripted_control

__all__ = ["scripted_control"]

RUNNER = CliRunner()
WHO = {"organisation": {"id": "org_1", "name": "lab"}, "key": {"id": "key_1", "name": "ann", "scopes": ["read"]}}
BEGUN = {"deviceCode": "secret-code", "userCode": "ABCD-1234", "verificationUrl": "http://control/device",
         "expiresAt": "2026-01-01T00:00:00.000Z", "intervalSeconds": 0}  # fmt: skip
PENDING = {"error": "login_pending", "message": "nobody has confirmed it", "request_id": "r"}


def run(*arguments: str, stdin: str | None = None) -> Result:
    return RUNNER.invoke(app, list(arguments), input=stdin)


def stored() -> Path:
    return Path(os.environ["REFLEX_CONFIG_DIR"]) / "credentials.json"


def test_a_key_of_standard_input_is_stored_for_this_user_alone_once_it_is_recognised(
    scripted_control: ScriptedControl,
) -> None:
    scripted_control.answers["GET /v1/whoami"] = WHO
    ended = run("login", "--api-key", "-", stdin="rfx_mine\n")

    assert ended.exit_code == 0, ended.output
    assert json.loads(stored().read_text()) == {"apiKey": "rfx_mine", "backendUrl": scripted_control.url}
    assert stat.S_IMODE(stored().stat().st_mode) == 0o600
    assert "rfx_mine" not in ended.output


def test_a_stored_key_is_used_and_a_logout_forgets_it(
    scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_control.answers["GET /v1/whoami"] = WHO
    run("login", "--api-key", "rfx_mine")
    monkeypatch.delenv("REFLEX_CONVEX_URL")

    assert run("whoami").stdout == "ann (key_1) of lab (org_1): read\n"
    assert scripted_control.received[-1].headers["Authorization"] == "Bearer rfx_mine"
    assert run("logout").exit_code == 0
    assert not stored().exists()
    assert run("whoami").exit_code == 3
    assert "nothing to forget" in run("logout").stderr


def test_a_key_that_is_rejected_is_not_stored(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["GET /v1/whoami"] = (401, {"error": "unauthorized", "message": "no", "request_id": "r"})

    assert run("login", "--api-key", "rfx_old").exit_code == 3
    assert not stored().exists()


@pytest.mark.slow
def test_a_login_shows_its_code_and_waits_until_somebody_has_confirmed_it(
    scripted_control: ScriptedControl,
) -> None:
    scripted_control.answers |= {
        "POST /v1/device/start": BEGUN,
        "POST /v1/device/token": [(428, PENDING), {"key": "rfx_new"}],
        "GET /v1/whoami": WHO,
    }
    ended = run("login", "--no-browser", "--json")

    assert ended.exit_code == 0, ended.output
    assert "open http://control/device and confirm the code ABCD-1234" in ended.stderr
    assert json.loads(ended.stdout)["key"] == WHO["key"]
    assert json.loads(stored().read_text())["apiKey"] == "rfx_new"
    assert not any(secret in ended.output for secret in ("rfx_new", "secret-code"))
    assert len(scripted_control.received) == 4


def test_a_login_that_is_refused_ends(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["POST /v1/device/start"] = BEGUN
    ended = run("login", "--no-browser")

    assert ended.exit_code == 1
    assert not stored().exists()


def test_a_logout_may_revoke_the_key_too(scripted_control: ScriptedControl) -> None:
    scripted_control.answers |= {"GET /v1/whoami": WHO, "POST /v1/keys/key_1/revoke": {"id": "key_1"}}
    run("login", "--api-key", "rfx_mine")

    assert json.loads(run("logout", "--revoke", "--json").stdout) == {
        "file": str(stored()), "forgotten": True, "revoked": True,
    }  # fmt: skip
    assert scripted_control.received[-1].route == "POST /v1/keys/key_1/revoke"


def test_a_key_that_cannot_be_revoked_is_not_forgotten(scripted_control: ScriptedControl) -> None:
    scripted_control.answers["GET /v1/whoami"] = WHO
    run("login", "--api-key", "rfx_mine")

    assert run("logout", "--revoke").exit_code == 1
    assert stored().exists()


def test_a_key_that_cannot_be_stored_is_taken_back(
    scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REFLEX_CONFIG_DIR", str(tmp_path / "file" / "folder"))
    scripted_control.answers |= {
        "POST /v1/device/start": BEGUN,
        "POST /v1/device/token": {"key": "rfx_new"},
        "GET /v1/whoami": WHO,
        "POST /v1/keys/key_1/revoke": {"id": "key_1"},
    }
    ended = run("login", "--no-browser")

    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
    assert scripted_control.received[-1].route == "POST /v1/keys/key_1/revoke"
    assert scripted_control.received[-1].headers["Authorization"] == "Bearer rfx_new"


def test_a_login_that_failed_is_withdrawn(scripted_control: ScriptedControl) -> None:
    refusal = (403, {"error": "login_refused", "message": "this login was refused", "request_id": "r"})
    scripted_control.answers |= {"POST /v1/device/start": BEGUN, "POST /v1/device/token": refusal}
    ended = run("login", "--json")

    assert (ended.exit_code, json.loads(ended.stdout)["error"]) == (1, "login_refused")
    assert scripted_control.received[-1].route == "POST /v1/device/cancel"
    assert scripted_control.received[-1].body == {"deviceCode": "secret-code"}


def test_who_logs_in_hears_of_a_variable_that_counts_for_more(
    scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_control.answers["GET /v1/whoami"] = WHO
    assert "REFLEX_API_KEY" not in run("login", "--api-key", "rfx_mine").output
    monkeypatch.setenv("REFLEX_API_KEY", "rfx_other")

    assert "REFLEX_API_KEY is set, and counts for more" in run("login", "--api-key", "rfx_mine").stderr


@pytest.mark.parametrize(
    ("arguments", "route", "sent", "shown"),
    [
        ([], "confirm", {"userCode": "bcdf-ghjk"}, "BCDF-GHJK  reflex on arm  confirmed  read,write\n"),
        (["--scope", "read", "--scope", "promote"], "confirm",
         {"userCode": "bcdf-ghjk", "scopes": ["read", "promote"]}, "BCDF-GHJK  reflex on arm  confirmed  read,write\n"),
        (["--refuse"], "refuse", {"userCode": "bcdf-ghjk"}, "BCDF-GHJK  reflex on arm  refused  -\n"),
    ],
)  # fmt: skip
def test_an_admin_confirms_or_refuses_a_code(
    scripted_control: ScriptedControl, arguments: list[str], route: str, sent: object, shown: str
) -> None:
    login = {"userCode": "BCDF-GHJK", "clientName": "reflex on arm"}
    scripted_control.answers |= {
        "POST /v1/device/confirm": login | {"status": "confirmed", "scopes": ["read", "write"]},
        "POST /v1/device/refuse": login | {"status": "refused", "scopes": []},
    }
    ended = run("keys", "confirm", "bcdf-ghjk", "--api-key", "rfx_admin", *arguments)

    assert (ended.exit_code, ended.stdout) == (0, shown)
    assert scripted_control.received[-1].route == f"POST /v1/device/{route}"
    assert scripted_control.received[-1].body == sent


def test_a_refusal_grants_nothing(scripted_control: ScriptedControl) -> None:
    ended = run("keys", "confirm", "bcdf-ghjk", "--refuse", "--scope", "read")

    assert ended.exit_code == 2
    assert not scripted_control.received


@pytest.mark.parametrize(("name", "shown"), [("arm-7", "arm-7"), ("", "this machine"), ("a" * 300, "a" * 100)])
def test_any_name_of_a_machine_will_do(
    scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    monkeypatch.setattr(platform, "node", lambda: name)
    scripted_control.answers["POST /v1/device/start"] = BEGUN
    run("login")

    assert scripted_control.received[0].body == {"clientName": f"reflex on {shown}"}


def test_a_name_that_moves_a_terminal_is_sent_as_text(
    scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "arm\x1b[2J\n")
    scripted_control.answers["POST /v1/device/start"] = BEGUN
    run("login")

    assert scripted_control.received[0].body["clientName"].isprintable()


@pytest.mark.parametrize(("content", "mode"), [("{cut off", 0o600), ('{"apiKey": "rfx_seen"}', 0o644)])
def test_a_login_replaces_a_file_that_cannot_be_used(
    scripted_control: ScriptedControl, content: str, mode: int
) -> None:
    scripted_control.answers["GET /v1/whoami"] = WHO
    stored().parent.mkdir(parents=True, exist_ok=True)
    stored().write_text(content)
    stored().chmod(mode)

    assert run("whoami").exit_code == 1
    assert run("login", "--convex-url", scripted_control.url, "--api-key", "rfx_mine").exit_code == 0
    assert json.loads(stored().read_text())["apiKey"] == "rfx_mine"
    assert stat.S_IMODE(stored().stat().st_mode) == 0o600
