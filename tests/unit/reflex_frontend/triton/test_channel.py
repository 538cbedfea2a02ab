"""Calls of gRPC's own server: over TCP as of a Triton elsewhere, and over a Unix socket as of the embedded one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import uvloop
from tritonclient.grpc import service_pb2

from reflex_frontend.triton.channel import Channel, _host_and_port, service_call
from support.streams.grpc_server import ECHO, Service, served
from support.streams.listening import dialled, listening
from support.waiting import HANGS_S, eventually, let_pass_here

STANDS_STILL_S = 0.5


Scenario = Callable[[Channel, Service], Awaitable[Any]]
WAYS = ["tcp", "unix"]


def on(way: str, folder: Path, scenario: Scenario, run: Callable[..., Any] = asyncio.run) -> Any:
    address = {"tcp": "127.0.0.1:0", "unix": f"unix:{folder}/grpc"}[way]

    async def main() -> Any:
        service = Service()
        async with served(service, address) as at, Channel(at) as channel, asyncio.timeout(HANGS_S):
            return await scenario(channel, service)

    return run(main())


async def echo(channel: Channel, message: bytes, timeout_s: float | None = HANGS_S) -> bytes:
    return await channel.call(ECHO, message, timeout_s=timeout_s)


async def failure(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize(("model", "is_ready"), [("arm", True), ("leg", False)])
@pytest.mark.parametrize("takes_bytes", [False, True])
def test_a_call_is_made_by_its_name_with_its_own_messages_or_their_bytes(
    tmp_path: Path, model: str, *, is_ready: bool, takes_bytes: bool
) -> None:
    async def scenario(channel: Channel, _service: Service) -> Any:
        request = service_pb2.ModelReadyRequest(name=model)
        call = service_call(channel, "ModelReady", takes_bytes=takes_bytes)
        return await call(request.SerializeToString() if takes_bytes else request, timeout=HANGS_S)

    assert on("tcp", tmp_path, scenario).ready is is_ready


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("way", WAYS)
def test_messages_of_any_size_go_there_and_come_back(way: str, tmp_path: Path, run: Callable[..., Any]) -> None:
    drawn = random.Random(0)
    messages = [drawn.randbytes(size) for size in (0, 1, 16_379, 16_380, 65_535, 150_528, 5_000_000)]

    async def scenario(channel: Channel, _service: Service) -> list[bytes]:
        one_by_one = [await echo(channel, message) for message in messages]
        at_once = await asyncio.gather(*(echo(channel, message) for message in messages * 3))
        assert at_once == messages * 3
        return one_by_one

    assert on(way, tmp_path, scenario, run) == messages


def test_a_call_brings_its_metadata_and_no_other_calls(tmp_path: Path) -> None:
    async def scenario(channel: Channel, service: Service) -> list[dict[str, Any]]:
        await channel.call(ECHO, b"", timeout_s=None, metadata=(("traceparent", "00-1-2-01"), ("x", "a=b, c;" * 40)))
        await echo(channel, b"")
        return service.headers

    first, second = on("unix", tmp_path, scenario)
    assert (first["traceparent"], first["x"]) == ("00-1-2-01", "a=b, c;" * 40)
    assert not {"traceparent", "x"} & second.keys()


@pytest.mark.parametrize("way", WAYS)
def test_an_error_comes_with_its_code_and_its_text_and_the_next_call_works(way: str, tmp_path: Path) -> None:
    async def scenario(channel: Channel, _service: Service) -> tuple[grpc.aio.AioRpcError, grpc.aio.AioRpcError, bytes]:
        refused = await failure(echo(channel, b"refused" + bytes(200_000)))
        unknown = await failure(channel.call("/reflex.Test/Telepathy", b"", timeout_s=HANGS_S))
        return refused, unknown, await echo(channel, b"next")

    refused, unknown, answer = on(way, tmp_path, scenario)
    assert (refused.code(), refused.details()) == (grpc.StatusCode.UNAVAILABLE, "Füße, 100 %")
    assert unknown.code() is grpc.StatusCode.UNIMPLEMENTED
    assert answer == b"next"


def test_a_call_that_is_given_up_ends_at_the_server_too_and_others_go_on(tmp_path: Path) -> None:
    async def scenario(channel: Channel, service: Service) -> bytes:
        other = asyncio.create_task(echo(channel, b"held, too"))
        call = asyncio.create_task(echo(channel, b"held", None))
        await eventually(lambda: service.begun == 2, "both are there")
        call.cancel()
        await eventually(lambda: service.given_up == 1, "the server knows")
        service.gate.set()
        return await other

    assert on("unix", tmp_path, scenario) == b"held, too"


def test_a_channel_that_is_closed_ends_its_calls_and_takes_no_more(tmp_path: Path) -> None:
    async def scenario(channel: Channel, service: Service) -> list[grpc.StatusCode]:
        call = asyncio.create_task(failure(echo(channel, b"held")))
        await eventually(lambda: service.begun, "it is there")
        await channel.close()
        await channel.close()
        return [(await call).code(), (await failure(echo(channel, b"another"))).code()]

    assert on("tcp", tmp_path, scenario) == [grpc.StatusCode.CANCELLED] * 2


def test_a_server_that_went_away_and_is_back_is_found_by_the_next_call(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        service = Service()
        async with served(service, f"unix:{tmp_path}/grpc") as at:
            channel = Channel(at)
            call = asyncio.create_task(failure(echo(channel, b"held")))
            await eventually(lambda: service.begun, "it is there")
        given: list[Any] = [(await call).code(), (await failure(echo(channel, b"nobody"))).code()]
        async with served(Service(), at):
            given += await asyncio.gather(*(echo(channel, b"%d" % i) for i in range(5)))
        await channel.close()
        return given

    lost = grpc.StatusCode.UNAVAILABLE
    assert asyncio.run(main()) == [lost, lost, *(b"%d" % i for i in range(5))]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "[::1]:1", "unix:/nowhere/grpc", "127.0.0.1:port", "127.0.0.1:65537", "127.0.0.1:-1", "nonsense"],
)
def test_a_server_that_is_not_there_is_named_with_the_reason(address: str) -> None:
    async def main() -> grpc.aio.AioRpcError:
        async with Channel(address) as channel:
            return await failure(echo(channel, b""))

    error = asyncio.run(main())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert f"cannot connect to {address}: " in (error.details() or "")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_calls_that_try_again_at_once_have_their_errors_too(run: Callable[..., Any]) -> None:
    """One that begins another attempt must not take it from those that waited for the last."""

    async def insisting(channel: Channel) -> list[grpc.StatusCode]:
        return [(await failure(echo(channel, b""))).code() for _ in range(5)]

    async def main() -> list[list[grpc.StatusCode]]:
        async with Channel("127.0.0.1:1") as channel:
            return await asyncio.gather(*(insisting(channel) for _ in range(20)))

    assert run(main()) == [[grpc.StatusCode.UNAVAILABLE] * 5] * 20


def test_a_name_that_nobody_knows_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_name: Any, **_kind: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> grpc.aio.AioRpcError:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
        async with Channel("gpu-box:8001") as channel:
            return await failure(echo(channel, b""))

    details = asyncio.run(main()).details()
    assert details == "cannot connect to gpu-box:8001: [Errno -2] Name or service not known"


@pytest.mark.parametrize(
    ("address", "asked"),
    [("[::1]:8001", ("::1", 8001)), ("10.0.0.1:1", ("10.0.0.1", 1)), ("box:65535", ("box", 65535))],
)
def test_the_resolver_is_asked_for_the_name_and_the_port(
    monkeypatch: pytest.MonkeyPatch, address: str, asked: tuple[str, int]
) -> None:
    names: list[tuple[Any, ...]] = []

    async def nothing(*name: Any, **_kind: Any) -> list[Any]:
        names.append(name)
        return []

    async def main() -> grpc.aio.AioRpcError:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nothing)
        async with Channel(address) as channel:
            return await failure(echo(channel, b""))

    assert "the name has no address" in (asyncio.run(main()).details() or "")
    assert names == [asked]


def test_a_request_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    async def scenario(channel: Channel, service: Service) -> tuple[grpc.aio.AioRpcError, int]:
        return await failure(echo(channel, bytes(256 * 1024 * 1024 + 1))), service.begun

    error, begun = on("unix", tmp_path, scenario)
    assert (error.code(), begun) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 0)
    assert error.details() == "a request of 268,435,457 bytes"


@pytest.mark.parametrize(
    ("place", "host"),
    [
        (("10.0.0.1", 8001), "10.0.0.1"), (("::1", 8001, 0, 0), "::1"), (("fe80::1", 8001, 0, 3), "fe80::1%3"),
        (("fe80::1%eth0", 8001, 0, 3), "fe80::1%eth0"),
    ],
)  # fmt: skip
def test_an_address_of_one_link_alone_keeps_its_link(place: tuple[Any, ...], host: str) -> None:
    assert _host_and_port(place) == (host, 8001)


@pytest.mark.parametrize("first", ["refuses", "swallows", "hangs up", "says nothing", "speaks HTTP/1.1"])
def test_of_a_names_addresses_the_first_that_answers_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    async def scenario(channel: Channel, _service: Service) -> bytes:
        port = int(channel.address.rpartition(":")[2])
        over = asyncio.Event()

        async def other_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if first == "says nothing":
                await over.wait()
            if first == "speaks HTTP/1.1":
                await reader.read(10)
                writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        with swallowing() as full:
            async with listening(other_server) as strange:
                other = {"swallows": full, "refuses": 1}.get(first, strange)

                async def found(*_name: Any, **_kind: Any) -> list[Any]:
                    return [(0, 0, 0, "", ("127.0.0.1", at)) for at in (other, port, port)]

                monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
                monkeypatch.setattr("reflex_frontend.triton.channel.CONNECT_S", 4.0)
                try:
                    return await echo(channel, b"there")
                finally:
                    over.set()

    assert on("tcp", tmp_path, scenario) == b"there"


@contextlib.contextmanager
def swallowing() -> Iterator[int]:
    """The port of a server whose queue is full: what wants to connect gets no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as queued:
        for _ in range(3):
            link = queued.enter_context(socket.socket())
            link.setblocking(False)
            link.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_an_answer_that_is_another_message_is_an_error(tmp_path: Path) -> None:
    class Garbled(Service):
        async def echo(self, request: bytes, context: Any) -> bytes:
            await super().echo(request, context)
            return b"\xff\xff"

    async def main() -> grpc.aio.AioRpcError:
        garbled = Garbled()
        handlers = {"ModelReady": grpc.unary_unary_rpc_method_handler(garbled.echo)}
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),)
        )
        server.add_insecure_port(f"unix:{tmp_path}/grpc")
        await server.start()
        async with Channel(f"unix:{tmp_path}/grpc") as channel:
            error = await failure(service_call(channel, "ModelReady")(service_pb2.ModelReadyRequest()))
        await server.stop(None)
        return error

    error = asyncio.run(main())
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "no ModelReadyResponse" in (error.details() or "")


def test_a_deadline_holds_while_it_is_connected_and_the_connection_is_there_for_the_next(tmp_path: Path) -> None:
    async def scenario(channel: Channel, _service: Service) -> tuple[grpc.StatusCode, bytes]:
        code = (await failure(echo(channel, b"", 1e-9))).code()
        answer = await echo(channel, b"next")
        assert len(channel._connections) == 1
        assert (await failure(echo(channel, b"", 0.0))).code() is code
        return code, answer

    assert on("unix", tmp_path, scenario) == (grpc.StatusCode.DEADLINE_EXCEEDED, b"next")


async def hesitating(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Between a client and a server that does not get the processor when it is first asked."""

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
        target.close()

    async with dialled(port) as (from_server, to_server):
        there = asyncio.create_task(pass_on(reader, to_server))
        await let_pass_here(STANDS_STILL_S)
        await pass_on(from_server, writer)
        await there


def test_a_triton_that_stands_still_while_it_is_connected_to_is_waited_for() -> None:
    async def ask() -> Any:
        async with (
            served(Service(), "127.0.0.1:0") as at,
            listening(partial(hesitating, int(at.rpartition(":")[2]))) as between,
            Channel(f"127.0.0.1:{between}") as channel,
        ):
            request = service_pb2.ModelReadyRequest(name="arm")
            return await service_call(channel, "ModelReady")(request, timeout=HANGS_S)

    assert asyncio.run(ask()).ready


def test_a_call_that_triton_does_not_have_is_a_mistake_of_ours() -> None:
    async def ask() -> None:
        async with Channel("127.0.0.1:1") as channel:
            service_call(channel, "ModelTelepathy")

    with pytest.raises(AttributeError, match="ModelTelepathy"):
        asyncio.run(ask())
