"""`reflex slots`, `split` and `replace` against a server that answers as scripted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reflex.admin import publish_admin
from reflex.cli import app
from support.outside.answering import Answering, running
from support.waiting import HANGS_S, wait_until

RUNNER = CliRunner()
TOKEN = "s3cret-token"
SLOTS = {
    "split": 80,
    "slots": {
        "a": {"model_version": "one@1", "status": "ready", "reason": None},
        "b": {"model_version": "two@2", "status": "degraded", "reason": "its model is gone"},
    },
}


class Server(ThreadingHTTPServer):
    """Answers every request with `status` and `body`, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Holding)
        self.port: int = self.server_address[1]
        self.status = 200
        self.body = json.dumps(SLOTS).encode()
        self.held: threading.Event | None = None
        self.asked: list[tuple[str, str, Any, str | None]] = []


class Holding(Answering):
    server: Server

    def get(self) -> None:
        self._answer()

    def post(self) -> None:
        self._answer()

    def _answer(self) -> None:
        content = self.asked()
        sent = json.loads(content) if content else None
        self.server.asked.append((self.command, self.path, sent, self.headers["Authorization"]))
        if self.server.held is not None:
            self.server.held.wait(HANGS_S)
        self.answer(self.server.status, self.server.body)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with running(Server()) as made:
        publish_admin(made.port, TOKEN)
        yield made


def run(server: Server, *arguments: str) -> Any:
    return RUNNER.invoke(app, [*arguments, "--admin-port", str(server.port)])


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (("slots",), ("GET", "/slots", None)),
        (("split", "0"), ("POST", "/split", {"split": 0})),
        (("split", "80"), ("POST", "/split", {"split": 80})),
        (("replace", "b", "new"), ("POST", "/slots/b", {"policy": "new"})),
    ],
)
def test_a_command_is_one_request_with_the_token(
    server: Server, command: tuple[str, ...], asked: tuple[str, str, Any]
) -> None:
    ended = run(server, *command)
    assert ended.exit_code == 0, ended.stderr
    assert server.asked == [(*asked, f"Bearer {TOKEN}")]
    assert TOKEN not in ended.output


def test_the_slots_are_one_line_each_with_share_and_reason(server: Server) -> None:
    ended = run(server, "slots")
    assert ended.stdout.splitlines() == ["a  one@1  80 %  ready", "b  two@2  20 %  degraded: its model is gone"]


@pytest.mark.parametrize(("reason", "said"), [(None, "ready"), ("its model is gone", "degraded: its model is gone")])
def test_the_shadow_has_a_line_of_its_own(server: Server, reason: str | None, said: str) -> None:
    status = "degraded" if reason else "ready"
    shadow = {"model_version": "three@3", "status": status, "reason": reason}
    server.body = json.dumps({**SLOTS, "shadow": shadow}).encode()
    assert run(server, "slots").stdout.splitlines()[-1] == f"shadow  three@3  {said}"


@pytest.mark.parametrize("command", [("slots",), ("split", "80"), ("replace", "a", "new")])
def test_json_is_one_value_on_stdout(server: Server, command: tuple[str, ...]) -> None:
    ended = run(server, *command, "--json")
    assert json.loads(ended.stdout) == SLOTS
    assert ended.stderr == ""


def test_a_refusal_is_said_in_the_servers_words_with_code_1(server: Server) -> None:
    server.status, server.body = 409, b'{"error": "conflict", "message": "its canary is wrong; the old one goes on"}'
    ended = run(server, "replace", "b", "new")
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-1] == "reflex: its canary is wrong; the old one goes on"
    as_json = run(server, "replace", "b", "new", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["message"]) == (1, "its canary is wrong; the old one goes on")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff"])
def test_what_is_no_answer_of_a_server_is_said(server: Server, body: bytes) -> None:
    server.body = body
    ended = run(server, "slots")
    assert ended.exit_code == 1
    assert f"admin port {server.port} does not answer" in ended.stderr


def test_a_server_with_too_many_connections_is_busy_and_not_gone(server: Server) -> None:
    server.status, server.body = 503, b"Service Unavailable"
    ended = run(server, "slots")
    assert ended.exit_code == 1
    assert f"admin port {server.port} is busy" in ended.stderr


def test_a_server_that_is_gone_is_said(server: Server) -> None:
    server.shutdown()
    server.server_close()
    ended = run(server, "slots")
    assert ended.exit_code == 1
    assert "does not answer (ConnectError); is it running?" in ended.stderr


def test_a_proxy_of_the_environment_never_sees_the_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run(server, "slots").exit_code == 0


def test_without_a_server_the_message_says_what_to_do(tmp_path: Path) -> None:
    ended = RUNNER.invoke(app, ["slots"], env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert ended.exit_code == 1
    assert "start one with --policy-a and --policy-b, or name its port with --admin-port" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("split", "101"), ("split", "-1"), ("split", "half"), ("split",), ("replace", "c", "new"), ("replace", "a")],
)
def test_what_cannot_be_meant_is_a_usage_error_and_no_request(server: Server, arguments: tuple[str, ...]) -> None:
    assert run(server, *arguments).exit_code == 2
    assert server.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("slots", "http://localhost:8000"),
        ("slots", "--url", "http://localhost:8000"),
        ("slots", "--url=gpu-box"),
        ("split", "80", "http://localhost:8000"),
        ("replace", "http://localhost:8000", "b", "new"),
        ("replace", "b", "new", "--url", "http://localhost:8000"),
    ],
)
def test_who_gives_a_servers_address_is_told_of_the_admin_port(server: Server, arguments: tuple[str, ...]) -> None:
    ended = run(server, *arguments)
    as_json = run(server, *arguments, "--json")

    assert (ended.exit_code, as_json.exit_code, server.asked) == (2, 2, [])
    assert "by its --admin-port" in " ".join(ended.stderr.split())
    assert json.loads(as_json.stdout)["error"] == "usage"


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_who_interrupts_a_replacement_is_told_that_it_goes_on(server: Server, tmp_path: Path, as_json: bool) -> None:
    server.held = threading.Event()
    command = [sys.executable, "-m", "reflex.cli", "replace", "b", "new", "--admin-port", str(server.port)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen(
        command + ["--json"] * as_json, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: bool(server.asked), "the server was asked")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=HANGS_S)
        server.held.set()

    told = json.loads(stdout)["message"] if as_json else stderr.splitlines()[-1]
    assert process.returncode == 130
    assert "interrupted; the server goes on with the change: `reflex slots` says how it ends" in told
