"""gRPC's own server, in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc.aio
from tritonclient.grpc import service_pb2

__all__ = ["ECHO", "Service", "served"]

ECHO: Final = "/reflex.Test/Echo"


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A Triton on which only the model `arm` is ready; and an echo, of which `held` waits for `gate`."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.given_up = 0
        self.headers: list[dict[str, Any]] = []

    def service(self, details: Any) -> Any:
        if details.method == ECHO:
            return grpc.unary_unary_rpc_method_handler(self.echo)
        if details.method != "/inference.GRPCInferenceService/ModelReady":
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.ready,
            request_deserializer=service_pb2.ModelReadyRequest.FromString,
            response_serializer=service_pb2.ModelReadyResponse.SerializeToString,
        )

    async def ready(self, request: Any, _context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name == "arm")

    async def echo(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.begun += 1
        self.headers.append(dict(context.invocation_metadata() or ()))
        if request.startswith(b"held"):
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        if request.startswith(b"refused"):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Füße, 100 %")
        return request


@contextlib.asynccontextmanager
async def served(service: Service, address: str) -> AsyncIterator[str]:
    """Its address, with the port that it was given."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(None)
