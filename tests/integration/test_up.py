"""`reflex up` as its users start it: one command, and a session of the control plane is answered by the server."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from reflex.api_keys import new_key
from reflex.cli import app
from reflex.cli.up.demo import Demo, register_demo
from reflex.cli.up.place import Place
from reflex.control import ControlClient
from reflex.errors import SetupError
from reflex_frontend.policy.shipped import shipped_repository
from support.leftovers import has_ended
from support.server import START_TIMEOUT_S, free_port
from support.waiting import HANGS_S, wait_until

pytestmark = pytest.mark.slow

ACT = (Path(__file__).parents[2] / "examples" / "act.json").read_bytes()


@dataclass
class Up:
    """A started `reflex up`."""

    process: subprocess.Popen[bytes]
    data: Path
    port: int
    control_port: int
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def demo(self) -> Demo:
        """As the next commands name it."""
        [ids] = re.findall(r"--deployment-id (\S+) --robot-id (\S+)", self.log)
        return Demo(*ids)

    def client(self) -> ControlClient:
        return ControlClient(f"http://127.0.0.1:{self.control_port}", api_key=Place(self.data).admin())

    def act(self, credential: str | None = None) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        return httpx.post(f"{self.url}/act", content=ACT, headers=headers, timeout=HANGS_S)


def arguments(data: Path, port: int, control_port: int) -> list[str]:
    return ["up", "--data", str(data), "--port", str(port), "--control-port", str(control_port)]


def command(data: Path, port: int, control_port: int) -> list[str]:
    return [sys.executable, "-m", "reflex.cli", *arguments(data, port, control_port)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    ports = free_port(), free_port()
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command(folder / "data", *ports), stdout=log, stderr=subprocess.STDOUT)
    started = Up(process, folder / "data", *ports, log_path)

    def is_up() -> bool:
        assert process.poll() is None, started.log
        return "  reflex act " in started.log

    try:
        wait_until(is_up, "the next commands are printed", timeout_s=START_TIMEOUT_S)
        yield started
        ctrl_c_ends_everything(started)
    finally:
        process.kill()
        process.wait()


def ctrl_c_ends_everything(up: Up) -> None:
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) > 2

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(HANGS_S) == 0
    assert up.log.rstrip().endswith("all is ended")
    assert [child for child in children if not has_ended(child)] == []


def test_the_next_commands_are_of_a_session_that_the_server_answers(up: Up) -> None:
    with up.client() as client:
        granted = client.authorize_session(deployment_id=up.demo.deployment_id, robot_id=up.demo.robot_id)
        answer = up.act(granted["credential"])
        client.close_session(granted["sessionId"])
        checks = client.run_deployment_doctor(up.demo.deployment_id)["checks"]

    assert (answer.status_code, answer.json()["mode"]) == (200, "dry_run")
    assert granted["actUrl"] == up.url
    assert [each["status"] for each in checks if each["id"] in ("act_reachable", "model_version")] == ["pass"] * 2
    assert up.act().json()["error"] == "unauthorized"


def test_both_logs_come_out_with_their_names_and_no_key_in_them(up: Up) -> None:
    assert re.search(r"^control \| ", up.log, re.MULTILINE)
    assert re.search(r"^server  \| .*ready: POST", up.log, re.MULTILINE)
    assert re.findall(r"rfx_\w+", up.log) == []


def test_another_start_finds_what_the_first_one_made(up: Up) -> None:
    with up.client() as client:
        again = register_demo(client, shipped_repository(), up.url)
        elsewhere = register_demo(client, shipped_repository(), "http://127.0.0.1:1")

        [schema] = client.list_robot_schemas()["robotSchemas"]

    assert schema["schema"]["simulation"] is True, "weights at random move nothing real"
    assert again == up.demo
    assert elsewhere.deployment_id != up.demo.deployment_id
    assert elsewhere.robot_id == up.demo.robot_id


def test_the_servers_key_is_used_again_and_made_anew_when_it_is_not_accepted(up: Up) -> None:
    place, url = Place(up.data), f"http://127.0.0.1:{up.control_port}"
    known = place.frontend_key.read_text(encoding="ascii").strip()

    assert place.key_of_frontend(url) == known
    nobodys = new_key()
    place.frontend_key.write_text(nobodys, encoding="ascii")
    made = place.key_of_frontend(url)

    assert made not in (known, nobodys, place.admin())
    assert place.frontend_key.read_text(encoding="ascii").strip() == made
    with ControlClient(url, api_key=made) as client:
        assert client.whoami()["key"]["scopes"] == ["read"]


def test_a_store_of_another_origin_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"admin\.key is not there"):
        Place(tmp_path).admin()


def test_what_it_keeps_is_its_owners_alone(up: Up) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in up.data.iterdir()}

    assert modes == {"admin.key": 0o600, "frontend.key": 0o600, "control": 0o700}
    assert up.data.stat().st_mode & 0o777 == 0o700


def test_one_port_for_both_servers_is_told_before_anything_starts(tmp_path: Path) -> None:
    port = free_port()
    done = CliRunner().invoke(app, arguments(tmp_path / "data", port, port))

    assert done.exit_code == 1
    assert "--port and --control-port are the same" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("taken", ["--port", "--control-port"])
def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = {"--port": free_port(), "--control-port": free_port(), taken: other.getsockname()[1]}
        done = CliRunner().invoke(app, arguments(tmp_path / "data", ports["--port"], ports["--control-port"]))

    assert done.exit_code == 1
    assert f"choose another {taken}," in done.stderr
    assert not (tmp_path / "data").exists()
