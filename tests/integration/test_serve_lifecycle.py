"""`reflex serve` as an operator meets it: stopped in every way, and started where it cannot start."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgpack
import numpy as np
import pytest
from websockets.asyncio.client import connect

from chaos.remains import Belongings, belongings
from reflex.model_repository import model_file
from reflex.triton_wheel import WHEEL
from reflex_bench.nonce_policy import write_nonce_policy
from support.load import Answer, LoadClient, run
from support.nonce import jpeg_b64
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.server import command, free_port, running_server
from support.waiting import HANGS_S, eventually, let_pass, wait_until

DELAY_MS = 1_000
"""Of a batch: long enough that what is in flight is so when it is looked at."""
IN_FLIGHT = 8
"""What the policy takes at once; with a stream, its observation is one of them."""
GONE_S = 3.0
STOPPED_S = 10.0
LEFT_S = 1.0
EXIT_REFUSED = 1
GOING_AWAY = 1001
STREAM_NONCE = 7.5
STREAMED = {
    "type": "observation", "seq": 1, "instruction": "pick", "state": [STREAM_NONCE, 0.0, 0.0, 0.0, 0.0, 0.0],
    "image": base64.b64decode(jpeg_b64()), "deadline_ms": 10_000,
}  # fmt: skip


@pytest.mark.slow
def test_kill_9_of_the_frontend_takes_everything_along(tmp_path: Path, promise: Promise) -> None:
    with nonce_server(tmp_path, delay_ms=DELAY_MS) as server:
        owned = belongings(server.process)
        assert owned.regions
        run(_killed_with_work_in_flight(server))
        server.process.process.wait(HANGS_S)
        gone_s = _gone_after_s(owned)
        promise("kill -9 of the frontend takes its Triton along", gone_s, at_most=GONE_S)


@dataclass
class Stopped:
    """A server that was stopped with requests in flight, and an observation of a stream."""

    in_flight: list[Answer]
    late: Answer
    """To a request that came on a kept connection while it was draining."""
    frames: list[dict[str, Any]]
    """What the stream was sent after its observation."""
    closed: tuple[int, str]
    """The code and the reason that the stream ended with."""
    exit_code: int
    took_s: float
    gone_s: float
    log: str


@pytest.fixture(
    scope="module",
    params=[signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGHUP))],
)
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    with nonce_server(tmp_path_factory.mktemp("stopped"), delay_ms=DELAY_MS) as server:
        owned = belongings(server.process)
        asked_at = time.monotonic()
        in_flight, late, (frames, closed) = run(_stopped_with_work_in_flight(server, request.param))
        code = server.process.process.wait(HANGS_S)
        took_s = time.monotonic() - asked_at
        return Stopped(in_flight, late, frames, closed, code, took_s, _gone_after_s(owned), server.process.log)


@pytest.mark.slow
def test_a_stop_finishes_work_in_flight_refuses_new_work_and_exits_0(stopped: Stopped, promise: Promise) -> None:
    for answer in stopped.in_flight:
        assert answer.is_right, str(answer)
    late = stopped.late
    assert (late.status, late.code) == (503, "draining")
    assert int(late.headers["retry-after"]) >= 1
    assert {answer.headers.get("connection") for answer in (*stopped.in_flight, late)} == {"close"}
    assert stopped.exit_code == 0, stopped.log
    promise("a server with work in flight has stopped", stopped.took_s, at_most=STOPPED_S)
    promise("a stopped server leaves nothing behind", stopped.gone_s, at_most=LEFT_S)
    assert "Traceback" not in stopped.log


@pytest.mark.slow
def test_a_stop_answers_the_observation_that_is_in_flight_on_a_stream_and_closes_it_as_documented(
    stopped: Stopped,
) -> None:
    (chunk,) = stopped.frames
    assert (chunk["type"], chunk["seq"], chunk["num_actions"]) == ("chunk", 1, 50)
    assert np.frombuffer(chunk["actions"]["data"], "<f4")[0] == STREAM_NONCE
    assert stopped.closed[0] == GOING_AWAY
    assert stopped.closed[1].startswith("draining")
    documented = (Path(__file__).parents[2] / "docs/http-api.md").read_text()
    assert f"| {GOING_AWAY} | the server is being stopped; connect again |" in documented
    assert stopped.exit_code == 0, stopped.log


@pytest.mark.timing
def test_a_robot_between_two_requests_hears_of_the_stop_before_its_connection_closes(
    tmp_path: Path, promise: Promise
) -> None:
    """A request must not meet the close of its connection: it would be lost without an answer."""
    with nonce_server(tmp_path) as server:

        async def asks_again_after_the_signal() -> Answer:
            async with LoadClient(server.port) as client:
                assert (await client.act()).is_right
                server.process.process.send_signal(signal.SIGTERM)
                await eventually(lambda: "draining" in server.process.log, "it drains")
                assert client.idle_connections == 1
                return await client.act()

        late = run(asks_again_after_the_signal())
        assert (late.code, late.headers["connection"]) == ("draining", "close")
        stopping_at = time.monotonic()
        assert server.process.process.wait(HANGS_S) == 0, server.process.log
        promise("a server that let a robot move on stops", time.monotonic() - stopping_at, at_most=STOPPED_S)


@pytest.mark.parametrize(
    ("number", "after_s"),
    [
        (signal.SIGTERM, 0.3),
        (signal.SIGINT, 0.0),
        pytest.param(signal.SIGTERM, 0.0, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_stop_while_warming_exits_0_at_once(
    tmp_path: Path, promise: Promise, number: signal.Signals, after_s: float
) -> None:
    with nonce_server(tmp_path, ready=False) as server:
        _wait_for_port(server)
        assert httpx.get(f"{server.process.base_url}/health/live", timeout=HANGS_S).status_code == 200
        wait_until(lambda: has_triton(server), "its Triton is started")
        owned = belongings(server.process)
        let_pass(after_s)
        started = time.monotonic()
        code = server.process.stop(number)
        assert code == 0, server.process.log
        promise("a stop while warming is quick", time.monotonic() - started, at_most=STOPPED_S / 2)
        assert "Traceback" not in server.process.log
    _gone_after_s(owned)


@dataclass
class UnderNohup:
    """A server under nohup that lost its terminal, and was ended by Ctrl-C twice."""

    after_the_terminal: Answer
    log_then: str
    owned: Belongings
    exit_code: int
    log: str


@pytest.fixture(scope="module")
def under_nohup(tmp_path_factory: pytest.TempPathFactory) -> UnderNohup:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup leaves to its child
    try:
        with nonce_server(tmp_path_factory.mktemp("nohup")) as server:
            server.process.process.send_signal(signal.SIGHUP)
            answer, log_then = run(_asks_once(server)), server.process.log
            owned = belongings(server.process)
            server.process.process.send_signal(signal.SIGINT)
            let_pass(0.05)
            code = server.process.stop(signal.SIGINT)
            return UnderNohup(answer, log_then, owned, code, server.process.log)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_server_under_nohup_outlives_its_terminal(under_nohup: UnderNohup) -> None:
    assert under_nohup.after_the_terminal.is_right
    assert "draining" not in under_nohup.log_then


@pytest.mark.slow
def test_the_second_ctrl_c_does_not_leave_anything_behind(under_nohup: UnderNohup) -> None:
    assert under_nohup.exit_code == 0, under_nohup.log
    _gone_after_s(under_nohup.owned)


@pytest.mark.slow
def test_a_used_port_is_said_plainly_and_exits_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = _refused_start(port, "--model-repository", str(_repository(tmp_path)))
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr


@pytest.mark.slow
def test_a_missing_triton_binary_is_said_with_the_command_that_brings_it(tmp_path: Path) -> None:
    """A package `pytriton` without the server shadows the real one for the child."""
    (tmp_path / "shadow" / "pytriton").mkdir(parents=True)
    (tmp_path / "shadow" / "pytriton" / "__init__.py").touch()
    environment = {"PYTHONPATH": str(tmp_path / "shadow")}
    ended = _refused_start(free_port(), "--model-repository", str(_repository(tmp_path)), env=environment)
    assert "tritonserver is missing from nvidia-pytriton" in ended.stderr
    assert f"pip install --force-reinstall --no-deps {WHEEL}" in ended.stderr


@pytest.mark.slow
def test_a_repository_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    ended = _refused_start(free_port(), "--model-repository", str(tmp_path / "nowhere"))
    assert "there is no such folder" in ended.stderr


def test_a_broken_model_is_named_in_health_and_in_the_log_and_refused_with_503(tmp_path: Path) -> None:
    repository = _repository(tmp_path)
    model_file(repository, "nonce_encoder").write_bytes(b"no model")
    with running_server("--model-repository", str(repository), ready=False) as server:
        base_url = server.base_url
        wait_until(lambda: _names_the_model(base_url), "the broken model is named in /health")
        health = httpx.get(f"{base_url}/health", timeout=HANGS_S)
        assert health.status_code == 503
        assert health.json()["status"] == "warming"
        assert health.json()["model_loaded"] is False
        refusal = httpx.post(f"{base_url}/act", json={"instruction": "x", "state": [0.0] * 6}, timeout=HANGS_S)
        assert (refusal.status_code, refusal.json()["error"]) == (503, "warming_up")
        assert int(refusal.headers["retry-after"]) >= 1
        assert "model 'nonce_encoder'" in server.log
        assert server.stop() == 0


def _names_the_model(base_url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        health = httpx.get(f"{base_url}/health", timeout=HANGS_S, verify=False).json()
        return "nonce_encoder" in health.get("reason", "")
    return False


async def _asks_once(server: NonceServer) -> Answer:
    async with LoadClient(server.port) as client:
        return await client.act()


async def _killed_with_work_in_flight(server: NonceServer) -> None:
    async with LoadClient(server.port) as client:
        calls = [asyncio.create_task(client.act()) for _ in range(IN_FLIGHT)]
        await eventually(lambda: asyncio.to_thread(_is_in_flight, server), "the requests are in flight")
        server.process.process.kill()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, ConnectionError) for outcome in outcomes)


async def _stopped_with_work_in_flight(
    server: NonceServer, number: signal.Signals
) -> tuple[list[Answer], Answer, tuple[list[dict[str, Any]], tuple[int, str]]]:
    """The answers of what was in flight, of a request while it was draining, and what a stream was told to its end."""
    address = f"ws://127.0.0.1:{server.port}/act/stream"
    async with LoadClient(server.port) as client, connect(address, compression=None) as stream:
        assert msgpack.unpackb(await stream.recv())["type"] == "ready"
        assert (await client.act()).is_right
        await stream.send(msgpack.packb(STREAMED))
        calls = [asyncio.create_task(client.act()) for _ in range(IN_FLIGHT - 1)]
        await eventually(lambda: asyncio.to_thread(_all_are_in_flight, server), "the requests are in flight")
        server.process.process.send_signal(number)
        await eventually(lambda: "draining" in server.process.log, "it drains")
        late = await client.act()
        told = [msgpack.unpackb(frame) async for frame in stream]
        return [await call for call in calls], late, (told, (stream.close_code or 0, stream.close_reason or ""))


def _is_in_flight(server: NonceServer) -> bool:
    return server.process.in_flight() > 0


def _all_are_in_flight(server: NonceServer) -> bool:
    return server.process.in_flight() == IN_FLIGHT


def _gone_after_s(owned: Belongings) -> float:
    return wait_until(lambda: not owned.left_of_any_run(), "nothing is left of Triton")


def has_triton(server: NonceServer) -> bool:
    with contextlib.suppress(LookupError):
        return bool(server.process.triton())
    return False


def _wait_for_port(server: NonceServer) -> None:
    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return server.process.health().status_code in (200, 503)
        return False

    wait_until(answers, "the port answers while warming")


def _repository(folder: Path) -> Path:
    repository = folder / "models"
    repository.mkdir()
    write_nonce_policy(repository)
    return repository


def _refused_start(port: int, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        command(port, options),
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )
    assert ended.returncode == EXIT_REFUSED, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not ended.stdout
    return ended
