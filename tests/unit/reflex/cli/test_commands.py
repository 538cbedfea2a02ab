from __future__ import annotations

import ast
import gc
import importlib
import json
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import reflex
from reflex.cli import app
from reflex.cli.extras import load_extra
from reflex.cli.main import SHORT_HELP
from reflex.errors import SetupError
from reflex.wording.install import install_line
from support.waiting import HANGS_S

RUNNER = CliRunner()
REFLEX = [sys.executable, "-m", "reflex.cli"]


class RecordingServer(types.ModuleType):
    """Stands for the server behind `reflex serve`: keeps the overrides, ends as told."""

    def __init__(self) -> None:
        super().__init__("reflex_frontend.serve")
        self.overrides: dict[str, object] | None = None
        self.outcome: int | Exception = 0

    def serve(self, overrides: dict[str, object]) -> int:
        self.overrides = overrides
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> RecordingServer:
    module = RecordingServer()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_serve_passes_on_only_what_was_given(server: RecordingServer) -> None:
    assert RUNNER.invoke(app, ["serve"]).exit_code == 0
    assert server.overrides == {}
    RUNNER.invoke(app, ["serve", "--port", "0", "--no-guard"])
    assert server.overrides == {"port": 0, "guard": False}


def test_serve_under_json_logs_json_and_fails_as_json(server: RecordingServer) -> None:
    assert RUNNER.invoke(app, ["serve", "--json"]).stdout == ""
    assert server.overrides == {"json_logs": True}

    server.outcome = SetupError("port 8000 is taken; use --port 8001")
    failed = RUNNER.invoke(app, ["serve", "--json"])
    assert (failed.exit_code, failed.stderr) == (1, "")
    assert json.loads(failed.stdout) == {
        "error": "setup", "message": "port 8000 is taken; use --port 8001", "hint": None, "request_id": None,
    }  # fmt: skip
    assert RUNNER.invoke(app, ["serve", "--json", "--text-logs"]).exit_code == 2


def test_serve_passes_on_every_option(server: RecordingServer) -> None:
    given = {
        "triton": "grpc://gpu:8001", "model-repository": "/models", "policy": "demo", "host": "0.0.0.0", "port": "9000",
        "robot-id": "arm-1", "max-queue": "8", "cors-origins": "https://a.example",
    }  # fmt: skip
    arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
    assert RUNNER.invoke(app, ["serve", *arguments, "--guard", "--json-logs"]).exit_code == 0
    assert server.overrides == {
        "triton": "grpc://gpu:8001", "model_repository": Path("/models"), "policy": "demo", "host": "0.0.0.0",
        "port": 9000, "robot_id": "arm-1", "max_queue": 8, "cors_origins": "https://a.example", "guard": True,
        "json_logs": True,
    }  # fmt: skip


def test_serve_leaves_the_environment_to_the_servers_settings(
    server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLEX_PORT", "9000")
    RUNNER.invoke(app, ["serve"])
    assert server.overrides == {}


def test_serve_help_names_the_environment_variable_of_every_option() -> None:
    text = RUNNER.invoke(app, ["serve", "--help"]).stdout
    for name in ("TRITON", "MODEL_REPOSITORY", "POLICY", "HOST", "PORT", "ROBOT_ID", "MAX_QUEUE", "CORS_ORIGINS",
                 "GUARD", "JSON_LOGS"):  # fmt: skip
        assert f"REFLEX_{name}]" in text


def test_serve_ends_with_the_servers_own_code_and_words(server: RecordingServer) -> None:
    server.outcome = 1
    assert RUNNER.invoke(app, ["serve"]).exit_code == 1
    server.outcome = SetupError("port 8000 is taken; use --port 8001")
    result = RUNNER.invoke(app, ["serve"])
    assert result.exit_code == 1
    assert result.stderr == "reflex: port 8000 is taken; use --port 8001\n"


def test_serve_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> Any:
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    monkeypatch.setattr("reflex.cli.extras.importlib", types.SimpleNamespace(import_module=missing))
    result = RUNNER.invoke(app, ["serve"])
    assert result.exit_code == 1
    assert "uvicorn" in result.stderr
    assert install_line("serve", "embedded") in result.stderr
    for command in (["serve"], ["control", "init"], ["inspect", "models"], ["demo", "copy", "models"]):
        told = RUNNER.invoke(app, [*command, "--json"])
        assert (told.exit_code, told.stderr) == (1, "")
        assert "pip install" in json.loads(told.stdout)["message"]


@pytest.mark.slow
def test_doctor_prints_one_json_value_whose_verdict_is_the_exit_code() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = RUNNER.invoke(app, ["doctor", "--json", "--port", str(port)])
    report = json.loads(result.stdout)
    by_name = {check["name"]: check for check in report["checks"]}
    assert (report["ok"], result.exit_code) == (False, 1)
    assert by_name[f"port {port}"]["status"] == "fail"
    assert by_name["python"]["status"] == "ok"


@pytest.mark.slow
def test_doctor_shows_a_failure_with_its_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = RUNNER.invoke(app, ["doctor", "--port", str(port)])
    assert f"-> see what holds it with `ss -ltnp sport = :{port}`" in result.stdout
    assert f"to fix: port {port}" in result.stderr


def test_version_is_the_packages() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout == f"{reflex.__version__}\n"


def test_no_command_shows_the_help() -> None:
    assert "Commands:" in RUNNER.invoke(app, []).output


@pytest.mark.parametrize("group", [[], ["traces"], ["keys"]])
def test_the_help_cuts_no_line(group: list[str]) -> None:
    assert "..." not in RUNNER.invoke(app, [*group, "-h"]).stdout.partition("Commands:")[2]


def test_the_commands_are_in_the_order_in_which_one_meets_them() -> None:
    lines = RUNNER.invoke(app, ["-h"]).stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(SHORT_HELP)
    assert max(map(len, SHORT_HELP.values())) <= 60


def test_the_variable_of_the_key_is_named_once() -> None:
    assert RUNNER.invoke(app, ["act", "-h"]).stdout.count("REFLEX_API_KEY") == 1


def test_the_last_port_may_be_looked_at() -> None:
    assert RUNNER.invoke(app, ["doctor", "--port", "65535", "--json"]).exit_code in (0, 1)


def test_an_unknown_command_is_wrong_usage() -> None:
    assert RUNNER.invoke(app, ["fly"]).exit_code == 2


@pytest.mark.slow
def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['reflex', '--help']\n"
        "from reflex.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=HANGS_S)
    assert "serve" in done.stdout
    assert {"httpx", "PIL", "numpy", "pydantic", "fastapi", "asyncio"}.isdisjoint(ast.literal_eval(done.stderr))


def test_the_client_loads_no_numpy() -> None:
    program = "import sys, reflex.client; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=HANGS_S).returncode == 0


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [*REFLEX, "act", "wave", "--state", "0", "--url", url], stderr=subprocess.PIPE
        ) as process:
            silent.settimeout(HANGS_S)
            connection, _ = silent.accept()  # from here on the command waits for its answer
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=HANGS_S)
            connection.close()
    assert process.returncode == 130
    assert b"Traceback" not in said


@pytest.mark.parametrize("was_enabled", [True, False])
def test_no_garbage_is_looked_for_while_what_a_command_needs_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, was_enabled: bool
) -> None:
    (tmp_path / f"noting_{was_enabled}.py").write_text("import gc\nLOOKED_FOR = gc.isenabled()\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    (gc.enable if was_enabled else gc.disable)()
    try:
        noting = load_extra(f"noting_{was_enabled}", "serve", as_json=False)
        is_looked_for = gc.isenabled()
    finally:
        gc.enable()

    assert (noting.LOOKED_FOR, is_looked_for) == (False, was_enabled)
