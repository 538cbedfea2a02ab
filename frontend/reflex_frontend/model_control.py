"""Loading and unloading models on a running Triton, through the repository calls of its gRPC API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2

from reflex.errors import SetupError
from reflex_frontend.gateway import CHANNEL_OPTIONS, SERVICE

__all__ = ["ModelControl", "ModelControlError", "TritonModelControl"]

LOAD_TIMEOUT_S: Final = 600.0
"""An engine of several gigabytes from a network disk."""
UNLOAD_TIMEOUT_S: Final = 30.0


class ModelControlError(SetupError):
    """Triton did not load or unload a model; the message is its own."""


class ModelControl(Protocol):
    """What a change of policies needs of Triton."""

    async def load(self, model: str) -> None: ...
    async def unload(self, model: str) -> None: ...


@dataclass
class TritonModelControl:
    """The calls themselves; `metadata` is what a restricted API asks for."""

    address: str
    metadata: tuple[tuple[str, str], ...] = ()
    _channel: grpc.aio.Channel = field(init=False)

    def __post_init__(self) -> None:
        self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        self._load = self._channel.unary_unary(
            SERVICE + "RepositoryModelLoad",
            request_serializer=service_pb2.RepositoryModelLoadRequest.SerializeToString,
            response_deserializer=service_pb2.RepositoryModelLoadResponse.FromString,
        )
        self._unload = self._channel.unary_unary(
            SERVICE + "RepositoryModelUnload",
            request_serializer=service_pb2.RepositoryModelUnloadRequest.SerializeToString,
            response_deserializer=service_pb2.RepositoryModelUnloadResponse.FromString,
        )

    async def load(self, model: str) -> None:
        """Returns when the model and what it is composed of can answer; `ModelControlError` when it cannot load."""
        request = service_pb2.RepositoryModelLoadRequest(model_name=model)
        try:
            await self._load(request, metadata=self.metadata, timeout=LOAD_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            raise _explained(model, "load", exc) from None

    async def unload(self, model: str) -> None:
        """Returns at once; Triton finishes what the model has begun."""
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        try:
            await self._unload(request, metadata=self.metadata, timeout=UNLOAD_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            raise _explained(model, "unload", exc) from None

    async def close(self) -> None:
        await self._channel.close()


def _explained(model: str, verb: str, error: grpc.aio.AioRpcError) -> ModelControlError:
    text = (error.details() or error.code().name).strip().splitlines()[0][:300]
    hint = ""
    if "explicit model control" in text.lower() or "not allowed" in text.lower():
        hint = "; start Triton with --model-control-mode=explicit"
    elif "restricted" in text.lower():
        hint = "; give the header that this Triton asks for as REFLEX_TRITON_ADMIN_HEADER=name=value"
    return ModelControlError(f"Triton cannot {verb} {model}: {text}{hint}")
