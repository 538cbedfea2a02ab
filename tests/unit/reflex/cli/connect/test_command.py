"""`reflex connect`: one JSON value, the documented exit codes, and a file that nobody's own is overwritten by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.runner.quick import GONE, QuickServer, patient_target, quick_server


@pytest.fixture(scope="module")
def shared() -> Iterator[QuickServer]:
    with quick_server() as made:
        yield made


@pytest.fixture
def server(shared: QuickServer) -> Iterator[QuickServer]:
    act = shared.act
    yield shared
    shared.act = act


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REFLEX_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("REFLEX_API_KEY", raising=False)
    monkeypatch.delenv("REFLEX_NO_RECORD", raising=False)


def connect(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["connect", *arguments])


def robot_yaml(folder: Path, url: str, session: str = "max_steps: 5") -> str:
    path = folder / "robot.yaml"
    path.write_text(
        f"hardware: {{kind: 'support.runner.quick:QuickArm'}}\ntarget: {json.dumps(patient_target(url))}\n"
        f"session: {{{session}}}\n",
        "utf-8",
    )
    return str(path)


def test_a_run_is_one_json_value(server: QuickServer, tmp_path: Path) -> None:
    done = connect("--config", robot_yaml(tmp_path, server.url), "--json", "--no-record")
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert list(told)[:6] == ["ok", "config", "steps", "appliedSteps", "safeStops", "errors"]
    assert (told["ok"], told["steps"], told["appliedSteps"], told["errors"]) == (True, 5, 0, [])
    assert told["config"] == str(tmp_path / "robot.yaml")
    assert not (tmp_path / "recordings").exists()


@pytest.mark.slow
def test_a_run_is_told_to_people(server: QuickServer, tmp_path: Path) -> None:
    done = connect("--config", robot_yaml(tmp_path, server.url), "--max-steps", "3")
    assert done.exit_code == 0
    assert "3 steps, none applied (dry_run), 0 safe stops" in done.stdout
    assert "recorded: " in done.stdout


def test_a_refused_key_ends_with_3_and_the_documented_words(server: QuickServer, tmp_path: Path) -> None:
    server.act = lambda _body: (401, {"error": "unauthorized", "message": "no such key", "request_id": "r"})
    done = connect("--config", robot_yaml(tmp_path, server.url), "--no-record")
    assert done.exit_code == 3
    assert "Safe stop fired mid-run: asking the policy failed: unauthorized: no such key" in done.stderr
    assert "After resolving the underlying network or server issue, re-run reflex connect." in done.stderr


@pytest.mark.parametrize(
    ("url", "session", "code", "error"),
    [
        (GONE, "max_steps: 5", 4, "unreachable"),
        ("", "modes: 3", 1, "setup"),
        ("", "deployment_id: deploy_1", 3, "api_key_required"),
    ],
)
def test_what_cannot_begin_has_its_own_exit_code(
    server: QuickServer, tmp_path: Path, url: str, session: str, code: int, error: str
) -> None:
    done = connect("--config", robot_yaml(tmp_path, url or server.url, session), "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]) == (code, error)


def test_a_check_says_what_to_fix_and_moves_nothing(server: QuickServer, tmp_path: Path) -> None:
    path = robot_yaml(tmp_path, server.url)
    done = connect("--config", path, "--check")
    assert done.exit_code == 0
    assert "Nothing moved." in done.stderr
    failed = connect("--config", robot_yaml(tmp_path, GONE), "--check", "--json")
    told = json.loads(failed.stdout)
    assert (failed.exit_code, told["ok"]) == (1, False)
    assert [each["id"] for each in told["checks"] if each["status"] == "fail"] == ["server"]
    in_words = connect("--config", path, "--check")
    assert "1 to fix: server" in in_words.stderr
    assert "-> start `reflex serve`, or correct target.url" in in_words.stdout


def test_a_file_to_begin_with_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    done = connect("--init", "sim", "--config", str(path))
    assert (done.exit_code, done.stdout.strip()) == (0, str(path))
    again = connect("--init", "sim", "--config", str(path), "--json")
    assert (again.exit_code, json.loads(again.stdout)["error"]) == (1, "setup")
    assert connect("--init", "ur5").exit_code == 2


def test_only_a_terminal_lets_a_stopped_robot_go_on(server: QuickServer, tmp_path: Path) -> None:
    assert connect("--config", robot_yaml(tmp_path, server.url), "--resume").exit_code == 2
