"""The one gRPC connection to Triton: raw bytes out, raw tensors in, every outcome classified.

The generated protobuf classes are used directly. The request is assembled from a cached, serialised prefix (names,
types and shapes) and the tensors' raw bytes, which protobuf allows because concatenated messages merge; for a 150 kB
image that is one copy instead of four.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from reflex_frontend.errors import FailureKind, TritonCallError
from reflex_frontend.triton.channel import Channel, service_call

__all__ = [
    "LOST_GPU",
    "Metadata",
    "Outputs",
    "RawTensor",
    "Target",
    "Triton",
    "TritonGateway",
    "arrays_of",
    "count_instances",
]

CALL_CAP_S: Final = 30.0
"""No call outlives this, whatever its request's deadline: its place in flight must come back even from a dead peer."""
PROBE_TIMEOUT_S: Final = 0.3
CONFIG_TIMEOUT_S: Final = 2.0
"""Asked seldom, and of a Triton that has just said that it is ready."""
RAW_INPUT_TAG: Final = b"\x3a"
"""Field 7, length-delimited: `raw_input_contents` of ModelInferRequest."""
BUSY: Final = ("maximum queue size", "timeout expired")
UNREADY: Final = ("not ready", "is stopping", "not at ready")
"""UNAVAILABLE with one of these texts (triton core's) comes from a live Triton; any other is the connection."""
DEAD_STUB: Final = "stub process"
"""INTERNAL with this text: the Python process of a model has ended (triton python_backend)."""
LOST_GPU: Final = "the gpu is lost"
"""INTERNAL with this text (the backend's): whatever the process does on that GPU fails from now on."""

Outputs = Mapping[str, npt.NDArray[Any]]
Metadata = tuple[tuple[str, str], ...]
"""Headers of one call; names in lower case."""


@dataclass(frozen=True, slots=True)
class RawTensor:
    """One input: `shape` has its batch axis, `data` is C-contiguous little-endian bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Target:
    """One model on Triton; without a `version` the newest that is loaded."""

    model: str
    version: str = ""


class Triton(Protocol):
    """What the frontend needs of Triton."""

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs: ...
    async def infer_raw(
        self,
        target: Target,
        inputs: Sequence[RawTensor],
        outputs: tuple[str, ...] | None = None,
        metadata: Metadata = (),
    ) -> Sequence[RawTensor]: ...
    async def is_model_ready(self) -> bool: ...
    async def is_live(self) -> bool: ...
    async def instances_of(self, models: Sequence[str]) -> Mapping[str, int]: ...
    async def close(self) -> None: ...


_DTYPES: Final = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8, "BOOL": np.bool_, "INT32": np.int32}


@dataclass
class TritonGateway:
    """Calls one ensemble of one Triton."""

    address: str
    model: str
    outputs: tuple[str, ...] = ("actions",)
    """What is asked for: each costs its bytes."""
    is_closed: bool = False
    _channel: Channel = field(init=False)
    _prefixes: dict[Hashable, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ensemble = Target(self.model)
        self._channel = Channel(self.address)
        self._infer = service_call(self._channel, "ModelInfer", takes_bytes=True)
        self._ready = service_call(self._channel, "ModelReady")
        self._live = service_call(self._channel, "ServerLive")
        self._config = service_call(self._channel, "ModelConfig")

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        """Run the ensemble once: the outputs by name, or `TritonCallError`.

        Ends when Triton does, at the latest after `CALL_CAP_S`. A caller with an earlier deadline stops waiting and
        leaves the call running: Triton works on regardless, and only its answer tells that the model is free again.
        """
        return _tensors(await self._response(self._ensemble, inputs, self.outputs, metadata))

    async def infer_raw(
        self,
        target: Target,
        inputs: Sequence[RawTensor],
        outputs: tuple[str, ...] | None = None,
        metadata: Metadata = (),
    ) -> Sequence[RawTensor]:
        """Run one model in place of the ensemble, in all else like `infer`; `outputs` are the ensemble's unless given.

        What it gives has the bytes that Triton sent, of whatever type, and can be given to the next model.
        """
        wanted = self.outputs if outputs is None else outputs
        response = await self._response(target, inputs, wanted, metadata)
        return _raw_tensors(response, wanted)

    async def _response(
        self, target: Target, inputs: Sequence[RawTensor], outputs: tuple[str, ...], metadata: Metadata
    ) -> service_pb2.ModelInferResponse:
        try:
            return await self._infer(self._message(target, inputs, outputs), timeout=CALL_CAP_S, metadata=metadata)
        except grpc.aio.AioRpcError as exc:
            raise _failure(exc) from None

    async def is_model_ready(self) -> bool:
        try:
            answer = await self._ready(service_pb2.ModelReadyRequest(name=self.model), timeout=PROBE_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)

    async def is_live(self) -> bool:
        try:
            answer = await self._live(service_pb2.ServerLiveRequest(), timeout=PROBE_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.live)

    async def instances_of(self, models: Sequence[str]) -> Mapping[str, int]:
        """How many instances Triton runs of each of `models`, as far as it says; an ensemble has none.

        Triton decides: without an `instance_group`, one for each GPU, and on a CPU as many as the backend likes (two of
        ONNX Runtime, one of Python).
        """
        counts = await asyncio.gather(*map(self._instances, models))
        return {model: count for model, count in zip(models, counts, strict=True) if count}

    async def close(self) -> None:
        self.is_closed = True
        await self._channel.close()

    async def _instances(self, model: str) -> int:
        request = service_pb2.ModelConfigRequest(name=model)
        try:
            return count_instances((await self._config(request, timeout=CONFIG_TIMEOUT_S)).config)
        except grpc.aio.AioRpcError:
            return 0

    def _message(self, target: Target, inputs: Sequence[RawTensor], outputs: tuple[str, ...]) -> bytes:
        parts: list[bytes | memoryview] = [self._prefix(target, inputs, outputs)]
        for tensor in inputs:
            parts += (RAW_INPUT_TAG, _varint(_byte_count(tensor.data)), tensor.data)
        return b"".join(parts)

    def _prefix(self, target: Target, inputs: Sequence[RawTensor], outputs: tuple[str, ...]) -> bytes:
        key = (target, outputs, tuple((tensor.name, tensor.shape) for tensor in inputs))
        prefix = self._prefixes.get(key)
        if prefix is None:
            if len(self._prefixes) >= 256:  # a client that sends ever new image sizes must not grow us
                self._prefixes.clear()
            prefix = self._prefixes[key] = _serialised_prefix(target, inputs, outputs)
        return prefix


def count_instances(config: Any) -> int:  # noqa: ANN401 - generated protobuf
    """Those that take requests; 0 where the configuration leaves it to Triton."""
    groups = [group for group in config.instance_group if not group.passive]
    return sum(max(1, group.count) * max(1, len(group.gpus)) for group in groups)


def _serialised_prefix(target: Target, inputs: Sequence[RawTensor], outputs: Sequence[str]) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=target.model, model_version=target.version)
    for tensor in inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    for name in outputs:
        request.outputs.add(name=name)
    return cast("bytes", request.SerializeToString())


def _byte_count(data: bytes | memoryview) -> int:
    return len(data) if isinstance(data, bytes) else data.nbytes


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tensors(response: service_pb2.ModelInferResponse) -> Outputs:
    tensors: dict[str, npt.NDArray[Any]] = {}
    for output, raw in itertools.zip_longest(response.outputs, response.raw_output_contents):
        if output is None or raw is None:
            raise TritonCallError("model", "the answer has an output of an unexpected type")
        tensors[output.name] = _array(output.datatype, tuple(output.shape), raw)
    return tensors


def arrays_of(tensors: Sequence[RawTensor]) -> Outputs:
    """As `infer` gives them; `TritonCallError` for what no ensemble's outputs are."""
    return {tensor.name: _array(tensor.datatype, tensor.shape, tensor.data) for tensor in tensors}


def _array(datatype: str, shape: tuple[int, ...], raw: bytes | memoryview) -> npt.NDArray[Any]:
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        raise TritonCallError("model", "the answer has an output of an unexpected type")
    if _byte_count(raw) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise TritonCallError("model", "the answer's bytes do not fill its shape")
    return np.frombuffer(raw, dtype).reshape(shape)


def _raw_tensors(response: service_pb2.ModelInferResponse, wanted: tuple[str, ...]) -> Sequence[RawTensor]:
    """All that are wanted, in that order."""
    given = {
        output.name: RawTensor(output.name, output.datatype, tuple(output.shape), raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    if not given.keys() >= set(wanted):
        raise TritonCallError("model", "the answer lacks an output that was asked for")
    return [given[name] for name in wanted]


def _failure(error: grpc.aio.AioRpcError) -> TritonCallError:
    code, text = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        return TritonCallError(_unavailable_kind(text.lower()), text)
    if code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED):
        return TritonCallError("cancelled", text or code.name)
    is_dead = any(sign in text.lower() for sign in (DEAD_STUB, LOST_GPU))
    return TritonCallError("dead" if is_dead else "model", text or code.name)


def _unavailable_kind(text: str) -> FailureKind:
    if any(part in text for part in BUSY):
        return "busy"
    return "unready" if any(part in text for part in UNREADY) else "lost"
