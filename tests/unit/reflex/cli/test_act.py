from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from reflex.cli import app
from reflex.client import chunk
from reflex.embodiments import load_embodiment
from reflex.wire import EMBODIMENT_FIELD
from reflex_frontend.http.app import Server as ServerParts
from reflex_frontend.http.app import build_app
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service, policy_config
from support.outside.answering import Answering, running

NO_CAMERA_NEEDED = policy_config(cameras={"base": False})

RAMP = chunk([[step / 49, 1.0, -step / 49] for step in range(50)])


class Server(ThreadingHTTPServer):
    """Answers as scripted, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Scripted)
        self.status = 200
        self.answer: Any = dict(RAMP)
        self.config: Any = {"policy_id": "demo", "embodiment": "franka", "state_dim": 6}
        self.asked: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Scripted(Answering):
    server: Server

    def post(self) -> None:
        self.server.asked.append(json.loads(self.asked()))
        self.answer(self.server.status, self.server.answer)

    def get(self) -> None:
        self.answer(200, self.server.config)


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as made:
        yield made


@pytest.fixture
def cup(tmp_path: Path) -> Path:
    path = tmp_path / "cup.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


def reflex_act(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["act", "pick up the red cup", *arguments])


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "https://robot-server:8000"])
def test_an_address_in_the_place_of_the_instruction_is_told_where_it_goes(address: str) -> None:
    result = CliRunner().invoke(app, ["act", address, "--state", "0"])

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{address} is no instruction; give the server's address with --url" in " ".join(result.stderr.split())


def test_the_chunk_is_plotted_one_line_an_axis(server: Server, cup: Path) -> None:
    result = reflex_act("--image", str(cup), "--state", "0.1,0.2", "--url", server.url)
    assert result.exit_code == 0, result.stderr
    rising, flat, falling = result.stdout.splitlines()
    assert rising.startswith("axis 0  ▁▁")
    assert rising.endswith("██  +0 .. +1")
    assert "▄" * 50 in flat
    assert falling.startswith("axis 2  ██")
    assert "50 steps x 3 axes" in result.stderr
    assert "20.0 ms in the server" in result.stderr
    assert "guard: nothing changed" in result.stderr


def test_json_prints_the_answer_as_the_only_thing_on_stdout(server: Server) -> None:
    result = reflex_act("--state", "-0.5,1e-3", "--url", server.url, "--json")
    assert json.loads(result.stdout)["actions"] == RAMP["actions"]
    assert result.stderr == ""
    assert server.asked[0]["state"] == [-0.5, 0.001]


def test_every_option_reaches_the_server(server: Server, cup: Path) -> None:
    cameras = ["--camera", f"wrist={cup}", "--camera", f"front={cup}"]
    reflex_act("--state", "0", "--url", server.url, "--episode", "e-1", "--seed", "7", *cameras)
    (asked,) = server.asked
    assert (asked["instruction"], asked["episode_id"], asked["seed"]) == ("pick up the red cup", "e-1", 7)
    assert sorted(asked["images"]) == ["front", "wrist"]


def test_what_the_guard_changed_is_said(server: Server) -> None:
    violation = {"step": 3, "axis": 1, "name": "joint_2", "value": 9.0, "limit": 1.0, "kind": "range"}
    server.answer |= {"guard_clamped": True, "guard_violations": [violation, {**violation, "step": 4}]}
    assert "guard: changed 2 values on joint_2" in reflex_act("--state", "0", "--url", server.url).stderr


def test_without_a_state_the_error_says_how_many_numbers_this_policy_takes(server: Server) -> None:
    result = reflex_act("--url", server.url)
    assert result.exit_code == 2
    assert "demo on franka takes 6 numbers" in result.stderr
    assert "--state 0,0,0,0,0,0" in result.stderr
    assert server.asked == []


def test_without_a_state_the_error_looks_into_the_slots_of_two_policies(server: Server) -> None:
    server.config = {"a": server.config, "b": {**server.config, "policy_id": "other"}}
    assert "demo on franka takes 6 numbers" in reflex_act("--url", server.url).stderr


@pytest.mark.parametrize(("is_degraded", "aside"), [(False, "\n"), (True, " (no episode named its slot")])
def test_the_policy_that_answered_for_its_slot_is_said_as_the_server_names_it(
    server: Server, is_degraded: bool, aside: str
) -> None:
    server.answer = answer_of_two_policies(None if is_degraded else "e-1")
    assert f"slot a: small@abababababab{aside}" in reflex_act("--state", "0", "--url", server.url).stderr


def answer_of_two_policies(episode: str | None) -> Any:
    """What a server with two policies, all of it but Triton, sends."""

    async def ask() -> Any:
        service = act_service(FakeTriton(), time.monotonic, config=NO_CAMERA_NEEDED, second=FakeTriton())
        transport = httpx.ASGITransport(app=build_app(ServerParts(service, Settings.load({}))))
        async with httpx.AsyncClient(transport=transport, base_url="http://robot") as client:
            body = {"instruction": "", "state": [0.0] * 6, "episode_id": episode}
            answer = (await client.post("/act", json=body)).json()
        return {name: value for name, value in answer.items() if name != "request_id"}

    return asyncio.run(ask())


def test_the_axes_bear_the_names_and_units_of_the_embodiment(server: Server) -> None:
    arm = {**dataclasses.asdict(load_embodiment("ur5"))}
    axes = {name: arm[name][:3] for name in arm if name.startswith(("action_", "state_", "mean_"))}
    server.config = {**server.config, EMBODIMENT_FIELD: {**arm, **axes}}
    result = reflex_act("--state", "0", "--url", server.url)
    assert result.stdout.startswith("shoulder_pan_joint (rad)   ▁▁")


def test_a_plot_on_a_narrow_terminal_does_not_wrap(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = reflex_act("--state", "0", "--url", server.url).stdout.splitlines()
    assert max(map(len, lines)) == 40


def test_who_has_no_key_is_told_where_it_goes(server: Server) -> None:
    server.status = 401
    server.answer = {"error": "unauthorized", "message": "send a key", "request_id": "r"}
    result = reflex_act("--state", "0", "--url", server.url)
    assert result.exit_code == 1
    assert "set REFLEX_API_KEY" in result.stderr
    assert "--api-key" in result.stderr
    told = json.loads(reflex_act("--state", "0", "--url", server.url, "--json").stdout)
    assert "set REFLEX_API_KEY" in told["hint"]
    assert told | server.answer == told


def test_a_refusal_is_said_in_the_servers_words_with_code_1(server: Server) -> None:
    server.status = 422
    server.answer = {"error": "state_dim_mismatch", "message": "state must have 6 values", "request_id": "r"}
    result = reflex_act("--state", "0", "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr == "reflex: state_dim_mismatch: state must have 6 values\n"
    assert result.stdout == ""


def test_a_refusal_with_json_is_the_envelope(server: Server) -> None:
    server.status = 422
    server.answer = {"error": "state_dim_mismatch", "message": "six", "request_id": "r", "expected": 6}
    result = reflex_act("--state", "0", "--url", server.url, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == server.answer | {"hint": None}


def test_a_server_that_is_not_there_is_code_1_and_one_json_value() -> None:
    result = reflex_act("--state", "0", "--url", "http://127.0.0.1:1", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "unreachable"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--state", "a,b"],
        ["--state", "0", "--camera", "wrist"],
        ["--state", "0", "--camera", "wrist=a.jpg", "--camera", "wrist=b.jpg"],
        ["--state", "0", "--image", "no-such-file.jpg"],
        ["--state", "0", "--deadline-ms", "0"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    assert reflex_act(*arguments).exit_code == 2


def test_image_and_camera_together_are_wrong_usage(cup: Path) -> None:
    result = reflex_act("--state", "0", "--image", str(cup), "--camera", f"wrist={cup}")
    assert result.exit_code == 2
    assert "not both" in result.stderr
