from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import grpc.aio
import pytest
from tritonclient.grpc import service_pb2

from reflex_frontend.triton.channel import Channel, service_call
from support.streams.listening import dialled, listening
from support.waiting import HANGS_S, let_pass_here

STANDS_STILL_S = 0.5


class ReadyModels(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A Triton on which only the model `arm` is ready."""

    def service(self, details: Any) -> Any:
        async def answer(request: Any, _context: Any) -> Any:
            return service_pb2.ModelReadyResponse(ready=request.name == "arm")

        assert details.method == "/inference.GRPCInferenceService/ModelReady"
        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=service_pb2.ModelReadyRequest.FromString,
            response_serializer=service_pb2.ModelReadyResponse.SerializeToString,
        )


@pytest.mark.parametrize(("model", "is_ready"), [("arm", True), ("leg", False)])
@pytest.mark.parametrize("takes_bytes", [False, True])
def test_a_call_is_made_by_its_name_with_its_own_messages_or_their_bytes(
    model: str, *, is_ready: bool, takes_bytes: bool
) -> None:
    async def ask() -> Any:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((ReadyModels(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channel = Channel(f"127.0.0.1:{port}")
        request = service_pb2.ModelReadyRequest(name=model)
        call = service_call(channel, "ModelReady", takes_bytes=takes_bytes)
        answer = await call(request.SerializeToString() if takes_bytes else request, timeout=HANGS_S)
        await channel.close()
        await server.stop(None)
        return answer

    assert asyncio.run(ask()).ready is is_ready


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
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((ReadyModels(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with listening(partial(hesitating, port)) as between:
            channel = Channel(f"127.0.0.1:{between}")
            request = service_pb2.ModelReadyRequest(name="arm")
            answer = await service_call(channel, "ModelReady")(request, timeout=HANGS_S)
            await channel.close()
            await server.stop(None)
        return answer

    assert asyncio.run(ask()).ready


def test_a_call_that_triton_does_not_have_is_a_mistake_of_ours() -> None:
    async def ask() -> None:
        async with Channel("127.0.0.1:1") as channel:
            service_call(channel, "ModelTelepathy")

    with pytest.raises(AttributeError, match="ModelTelepathy"):
        asyncio.run(ask())
