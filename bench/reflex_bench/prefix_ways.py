"""One observation to actions: as a whole, model by model, from a prefix; over gRPC, or through shared memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Any, Final, Self

import grpc.aio
import numpy as np
from tritonclient.grpc import service_pb2

from reflex_frontend.triton.channel import Channel, service_call
from reflex_frontend.triton.gateway import RawTensor, TritonGateway
from reflex_frontend.triton.stages import Prefix, Stage, Stages

__all__ = ["Ways"]

REGION: Final = "prefix"
IN_USE: Final = "currently in use"
"""What Triton says of a region that an answer still holds."""
LET_GO_WITHIN_S: Final = 10.0
Way = Callable[[], Coroutine[Any, Any, bytes]]
"""Asks once: the actions as bytes."""


@dataclass
class Ways:
    """One policy and one observation; `all` by name. Use it as a context: it holds connections and memory."""

    address: str
    policy: str
    stages: Stages
    inputs: Sequence[RawTensor]
    prefix: Prefix = ()
    _where: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each tensor of the prefix in the region: its offset and its bytes."""

    async def __aenter__(self) -> Self:
        self._gateway = TritonGateway(self.address, self.policy)
        self._channel = Channel(self.address)
        self._infer = service_call(self._channel, "ModelInfer")
        self.prefix = await self.stages.make_prefix(self._gateway, self.inputs, ())
        for tensor in self.prefix:
            self._where[tensor.name] = (sum(size for _, size in self._where.values()), len(tensor.data))
        self._memory = SharedMemory(create=True, size=self.prefix_bytes)
        request = service_pb2.SystemSharedMemoryRegisterRequest(
            name=REGION, key=f"/{self._memory.name.lstrip('/')}", offset=0, byte_size=self.prefix_bytes
        )
        await service_call(self._channel, "SystemSharedMemoryRegister")(request)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._forget_region()
        await self._channel.close()
        await self._gateway.close()
        self._memory.close()
        self._memory.unlink()

    async def _forget_region(self) -> None:
        """Triton lets go of the memory a moment after the answer that used it."""
        ends_s = time.monotonic() + LET_GO_WITHIN_S
        while True:
            try:
                await service_call(self._channel, "SystemSharedMemoryUnregister")(
                    service_pb2.SystemSharedMemoryUnregisterRequest(name=REGION)
                )
                return
            except grpc.aio.AioRpcError as exc:
                if IN_USE not in (exc.details() or "") or time.monotonic() > ends_s:
                    raise
            await asyncio.sleep(0.01)

    @property
    def prefix_bytes(self) -> int:
        return sum(len(tensor.data) for tensor in self.prefix)

    @property
    def all(self) -> Mapping[str, Way]:
        """In this order: what the last one asks for lies in memory since the one before."""
        return {
            "whole": self._whole,
            "by model": self._by_model,
            "kept": self._kept,
            "by model, shared": self._by_model_shared,
            "kept, shared": self._kept_shared,
        }

    async def _whole(self) -> bytes:
        return _actions(await self._gateway.infer(self.inputs))

    async def _by_model(self) -> bytes:
        prefix = await self.stages.make_prefix(self._gateway, self.inputs, ())
        return _actions(await self.stages.denoise(self._gateway, self.inputs, prefix, ()))

    async def _kept(self) -> bytes:
        return _actions(await self.stages.denoise(self._gateway, self.inputs, self.prefix, ()))

    async def _by_model_shared(self) -> bytes:
        known = {tensor.name: tensor for tensor in self.inputs}
        *before, encoder = self.stages.before
        for stage in before:
            given = [known[name] for name in stage.inputs]
            known |= {
                tensor.name: tensor for tensor in await self._gateway.infer_raw(stage.target, given, stage.outputs)
            }
        await self._infer(self._request(encoder, known, encoder.outputs))
        return await self._kept_shared()

    async def _kept_shared(self) -> bytes:
        known = {tensor.name: tensor for tensor in self.inputs}
        response = await self._infer(self._request(self.stages.last, known, ("actions",)))
        return bytes(response.raw_output_contents[0])

    def _request(self, stage: Stage, known: Mapping[str, RawTensor], outputs: Sequence[str]) -> Any:  # noqa: ANN401 - protobuf
        """What lies in the region goes by its place, everything else by its bytes."""
        request = service_pb2.ModelInferRequest(model_name=stage.target.model, model_version=stage.target.version)
        shapes = {tensor.name: tensor for tensor in self.prefix}
        for name in stage.inputs:
            tensor = shapes.get(name) or known[name]
            told = request.inputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
            if name in self._where:
                self._place(told.parameters, name)
            else:
                request.raw_input_contents.append(bytes(tensor.data))
        for name in outputs:
            wanted = request.outputs.add(name=name)
            if name in self._where:
                self._place(wanted.parameters, name)
        return request

    def _place(self, parameters: Any, name: str) -> None:  # noqa: ANN401 - protobuf
        offset, size = self._where[name]
        parameters["shared_memory_region"].string_param = REGION
        parameters["shared_memory_offset"].int64_param = offset
        parameters["shared_memory_byte_size"].int64_param = size


def _actions(outputs: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    return outputs["actions"].tobytes()
