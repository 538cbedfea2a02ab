"""The admin routes as a server: where it listens, what it leaves behind, and when it is not there at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import pytest

from reflex.admin import DEFAULT_PORT, admin_file, publish_admin, read_admin
from reflex.errors import SetupError
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.observing.observers import Observers
from reflex_frontend.observing.shadow import Shadow
from reflex_frontend.rollout import admin_server
from reflex_frontend.rollout.admin_server import admin_routes, wanted_admin_port
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service, loaded
from support.server import free_port


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("REFLEX_ADMIN_TOKEN", raising=False)


def serve(scenario: Callable[[], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run the scenario while the routes of a server with two policies are up."""

    async def main() -> None:
        router = act_service(FakeTriton(), time.monotonic, second=FakeTriton(), split=80).router
        async with admin_routes(Settings.load(settings), router, cast("Any", None)):
            await scenario()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, None),
        ({"policy": "one"}, None),
        ({"policy_a": "one", "policy_b": "two"}, DEFAULT_PORT),
        ({"policy_a": "one", "policy_b": "two", "admin_port": 0}, 0),
        ({"admin_port": 9000}, 9000),
    ],
)
def test_two_policies_have_admin_routes_and_one_only_when_asked(settings: dict[str, Any], port: int | None) -> None:
    assert wanted_admin_port(Settings.load(settings)) == port


def test_the_shadow_of_the_bystanders_is_among_the_slots() -> None:
    async def main() -> None:
        router = act_service(FakeTriton(), time.monotonic).router
        shadow = Shadow(loaded(FakeTriton(), time.monotonic), Instance(time.monotonic), cast("Any", None))
        settings = Settings.load({"admin_port": 0, "admin_token": "t"})
        observers = Observers(recording=None, shadow=shadow)
        async with admin_routes(settings, router, cast("Any", None), observers):
            (file,) = admin_file(0).parent.glob("admin-*.json")
            url = json.loads(file.read_text())["url"]
            async with httpx.AsyncClient(trust_env=False, headers={"Authorization": "Bearer t"}) as client:
                shown = (await client.get(f"{url}/slots")).json()
        assert shown["shadow"]["model_version"] == "small@abababababab"

    asyncio.run(main())


def test_without_admin_routes_nothing_is_left_anywhere() -> None:
    async def scenario() -> None:
        assert not admin_file(DEFAULT_PORT).parent.exists()

    serve(scenario)


@pytest.mark.slow
def test_they_answer_with_the_token_of_the_file_and_leave_nothing_behind() -> None:
    port = free_port()

    async def scenario() -> None:
        address = read_admin(port)
        async with httpx.AsyncClient() as client:
            refused = await client.get(f"{address.url}/slots")
            shown = await client.get(f"{address.url}/slots", headers={"Authorization": f"Bearer {address.token}"})
        assert (refused.status_code, shown.status_code, shown.json()["split"]) == (401, 200, 80)
        assert len(address.token) >= 40
        tokens.append(address.token)

    tokens: list[str] = []
    for _ in range(2):
        serve(scenario, admin_port=port)
        assert not admin_file(port).exists()
        assert _is_refused(port)
    assert tokens[0] != tokens[1]


def test_a_token_that_is_given_is_the_one_that_counts() -> None:
    port = free_port()

    async def scenario() -> None:
        assert read_admin(port).token == "mine"

    serve(scenario, admin_port=port, admin_token="mine")


def test_port_0_takes_a_free_one_and_the_file_says_which(tmp_path: Path) -> None:
    async def scenario() -> None:
        (file,) = (tmp_path / "reflex").iterdir()
        url = json.loads(file.read_text())["url"]
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/slots")).status_code == 401

    serve(scenario, admin_port=0)


def test_they_listen_on_loopback_alone() -> None:
    port = free_port()

    async def scenario() -> None:
        listening = {each.laddr for each in psutil.Process().net_connections("tcp") if each.status == "LISTEN"}
        assert [address.ip for address in listening if address.port == port] == ["127.0.0.1"]

    serve(scenario, admin_port=port)


def test_a_port_that_is_taken_is_said_and_its_owners_file_stays() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        publish_admin(port, "its owner's")

        async def scenario() -> None:
            pytest.fail("served on a port that is taken")

        with pytest.raises(SetupError, match=rf"127\.0\.0\.1:{port} .*choose another --admin-port"):
            serve(scenario, admin_port=port)
        assert read_admin(port).token == "its owner's"


def test_a_file_that_cannot_be_written_is_said_and_the_port_is_free_again(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "reflex").write_text("in the way")

    async def scenario() -> None:
        pytest.fail("served without a file")

    with pytest.raises(SetupError, match="cannot be written"):
        serve(scenario, admin_port=port)
    assert _is_refused(port)


def test_idle_strangers_neither_keep_the_owner_out_nor_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program of this machine can connect; whoever has the token must get through all the same."""
    monkeypatch.setattr(admin_server, "REQUEST_WITHIN_S", 0.3)
    port = free_port()

    async def scenario() -> None:
        # What they say is there before the server takes them: one that is cut off while it speaks reads no answer.
        said = [b"POST /slots/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"] * 32 + [b""] * 32
        strangers = [await asyncio.open_connection(sock=sock) for sock in [_connected(port, half) for half in said]]
        address = read_admin(port)
        async with httpx.AsyncClient() as client:
            shown = await client.get(f"{address.url}/slots", headers={"Authorization": f"Bearer {address.token}"})
        assert shown.status_code == 200
        async with asyncio.timeout(5):
            heard = [await reader.read() for reader, _ in strangers]
        assert all(b'"error":"' in answer for answer in heard)
        for _, writer in strangers:
            writer.close()
        for _, writer in strangers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    serve(scenario, admin_port=port)


def test_a_server_that_fails_takes_its_routes_along() -> None:
    port = free_port()

    async def scenario() -> None:
        raise RuntimeError("something else ended it")

    with pytest.raises(RuntimeError, match="something else"):
        serve(scenario, admin_port=port)
    assert not admin_file(port).exists()
    assert _is_refused(port)


def _connected(port: int, said: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(said)
    return sock


def _is_refused(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
