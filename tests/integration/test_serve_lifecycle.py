"""`reflex serve` as an operator meets it: stopped in every way, and started where it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from chaos.remains import Belongings, belongings
from reflex.model_repository import model_file
from reflex.triton_wheel import WHEEL
from reflex_bench.nonce_policy import write_nonce_policy
from support.load import Answer, LoadClient, run
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.server import command, free_port, running_server
from support.waiting import HANGS_S, eventually, let_pass, wait_until

DELAY_MS = 1_000
"""Of a batch: long enough that what is in flight is so when it is looked at."""
IN_FLIGHT = 8
GONE_S = 3.0
STOPPED_S = 10.0
LEFT_S = 1.0
EXIT_REFUSED = 1


def test_kill_9_of_the_frontend_takes_everything_along(tmp_path: Path, promise: Promise) -> None:
    with nonce_server(tmp_path, delay_ms=DELAY_MS) as server:
        owned = belongings(server.process)
        assert owned.regions
        run(_killed_with_work_in_flight(server))
        server.process.process.wait(HANGS_S)
        gone_s = _gone_after_s(owned)
        promise("kill -9 of the frontend takes its Triton along", gone_s, at_most=GONE_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_finishes_work_in_flight_refuses_new_work_and_exits_0(
    tmp_path: Path, promise: Promise, number: signal.Signals
) -> None:
    with nonce_server(tmp_path, delay_ms=DELAY_MS) as server:
        owned = belongings(server.process)
        asked_at = time.monotonic()
        in_flight, late = run(_stopped_with_work_in_flight(server, number))
        code = server.process.process.wait(HANGS_S)
        took_s = time.monotonic() - asked_at
        log = server.process.log
    for answer in in_flight:
        assert answer.is_right, str(answer)
    assert (late.status, late.code) == (503, "draining")
    assert int(late.headers["retry-after"]) >= 1
    assert {answer.headers.get("connection") for answer in (*in_flight, late)} == {"close"}
    assert code == 0, log
    promise("a server with work in flight has stopped", took_s, at_most=STOPPED_S)
    promise("a stopped server leaves nothing behind", _gone_after_s(owned), at_most=LEFT_S)
    assert "Traceback" not in log


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_s", [0.0, 0.3])
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


def test_a_server_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup leaves to its child
    try:
        with nonce_server(tmp_path) as server:
            server.process.process.send_signal(signal.SIGHUP)
            assert run(_asks_once(server)).is_right
            assert "draining" not in server.process.log
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_ctrl_c_does_not_leave_anything_behind(tmp_path: Path) -> None:
    with nonce_server(tmp_path) as server:
        owned = belongings(server.process)
        server.process.process.send_signal(signal.SIGINT)
        let_pass(0.05)
        assert server.process.stop(signal.SIGINT) == 0, server.process.log
    _gone_after_s(owned)


def test_a_used_port_is_said_plainly_and_exits_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = _refused_start(port, "--model-repository", str(_repository(tmp_path)))
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr


def test_a_missing_triton_binary_is_said_with_the_command_that_brings_it(tmp_path: Path) -> None:
    """A package `pytriton` without the server shadows the real one for the child."""
    (tmp_path / "shadow" / "pytriton").mkdir(parents=True)
    (tmp_path / "shadow" / "pytriton" / "__init__.py").touch()
    environment = {"PYTHONPATH": str(tmp_path / "shadow")}
    ended = _refused_start(free_port(), "--model-repository", str(_repository(tmp_path)), env=environment)
    assert "tritonserver is missing from nvidia-pytriton" in ended.stderr
    assert f"pip install --force-reinstall --no-deps {WHEEL}" in ended.stderr


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


async def _stopped_with_work_in_flight(server: NonceServer, number: signal.Signals) -> tuple[list[Answer], Answer]:
    """The answers of what was in flight, and of a request that came on a kept connection while it was draining."""
    async with LoadClient(server.port) as client:
        assert (await client.act()).is_right
        calls = [asyncio.create_task(client.act()) for _ in range(IN_FLIGHT)]
        await eventually(lambda: asyncio.to_thread(_all_are_in_flight, server), "the requests are in flight")
        server.process.process.send_signal(number)
        await eventually(lambda: "draining" in server.process.log, "it drains")
        late = await client.act()
        return [await call for call in calls], late


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
