"""The bytes we send Triton, and what each of its outcomes is called. The peer is a gRPC server of this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from reflex_frontend.errors import TritonCallError
from reflex_frontend.triton.gateway import Outputs, RawTensor, Target, Triton, TritonGateway, arrays_of
from support.fakes import FakeTriton, chunk, outputs

PIXELS = np.arange(300, dtype=np.uint8)
INPUTS = [
    RawTensor("image.base", "UINT8", (1, 10, 10, 3), PIXELS.tobytes()),
    RawTensor("camera_mask", "BOOL", (1, 1), b"\x01"),
    RawTensor("state", "FP32", (1, 2), np.array([0.5, -2], np.float32).tobytes()),
    RawTensor("empty", "FP32", (1, 0), b""),
]


@dataclass
class Peer:
    """What a test's Triton does; `requests` are the raw messages that it was sent."""

    response: service_pb2.ModelInferResponse = field(default_factory=service_pb2.ModelInferResponse)
    abort: tuple[grpc.StatusCode, str] | None = None
    live: bool = True
    groups: dict[str, list[tuple[int, list[int]]]] = field(default_factory=dict)
    """Of each model: how many instances, on which GPUs."""
    requests: list[bytes] = field(default_factory=list)
    headers: list[dict[str, Any]] = field(default_factory=list)

    async def infer(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        self.requests.append(request)
        self.headers.append(dict(context.invocation_metadata() or ()))
        if self.abort is not None:
            await context.abort(*self.abort)
        return self.response

    async def ready(self, _request: bytes, _context: object) -> Any:
        return service_pb2.ModelReadyResponse(ready=self.live)

    async def config(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        name = service_pb2.ModelConfigRequest.FromString(request).name
        if name not in self.groups:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        answer = service_pb2.ModelConfigResponse()
        for count, gpus in self.groups[name]:
            answer.config.instance_group.add(count=count, gpus=gpus)
        return answer

    async def is_live(self, _request: bytes, _context: object) -> Any:
        return service_pb2.ServerLiveResponse(live=self.live)


@contextlib.asynccontextmanager
async def gateway_to(peer: Peer) -> AsyncIterator[TritonGateway]:
    handlers = {
        "ModelInfer": peer.infer, "ModelReady": peer.ready, "ServerLive": peer.is_live, "ModelConfig": peer.config,
    }  # fmt: skip
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "inference.GRPCInferenceService",
                {
                    name: grpc.unary_unary_rpc_method_handler(
                        handler, response_serializer=lambda message: message.SerializeToString()
                    )
                    for name, handler in handlers.items()
                },
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gateway = TritonGateway(f"127.0.0.1:{port}", "small")
    try:
        yield gateway
    finally:
        await gateway.close()
        await server.stop(None)


def response(array: Any, datatype: str = "FP32", shape: tuple[int, ...] | None = None) -> Any:
    message = service_pb2.ModelInferResponse()
    message.outputs.add(name="actions", datatype=datatype, shape=array.shape if shape is None else shape)
    message.raw_output_contents.append(array.tobytes())
    return message


def infer_with(peer: Peer, inputs: list[RawTensor] = INPUTS) -> Outputs:
    async def main() -> Outputs:
        async with gateway_to(peer) as gateway:
            return await gateway.infer(inputs)

    return asyncio.run(main())


def failure_of(peer: Peer) -> TritonCallError:
    with pytest.raises(TritonCallError) as caught:
        infer_with(peer)
    return caught.value


def serialised_by_protobuf(inputs: list[RawTensor]) -> Any:
    request = service_pb2.ModelInferRequest(model_name="small")
    for tensor in inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(bytes(tensor.data))
    request.outputs.add(name="actions")
    return request


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_the_message_is_what_the_protobuf_class_itself_reads_and_writes(size: int) -> None:
    inputs = [*INPUTS, RawTensor("blob", "UINT8", (1, size), bytes(size))]
    peer = Peer(response(chunk()[None]))
    infer_with(peer, inputs)
    (sent,) = peer.requests
    wanted = serialised_by_protobuf(inputs)
    assert service_pb2.ModelInferRequest.FromString(sent) == wanted
    assert len(sent) == wanted.ByteSize()


def test_a_memoryview_is_sent_like_bytes() -> None:
    peer = Peer(response(chunk()[None]))
    infer_with(peer, [RawTensor("image.base", "UINT8", (1, 10, 10, 3), PIXELS.data)])
    assert service_pb2.ModelInferRequest.FromString(peer.requests[0]).raw_input_contents[0] == PIXELS.tobytes()


def test_another_image_size_is_another_shape_in_the_message() -> None:
    async def main() -> list[list[int]]:
        peer = Peer(response(chunk()[None]))
        async with gateway_to(peer) as gateway:
            for width in (4, 5, 4):
                await gateway.infer([RawTensor("image.base", "UINT8", (1, 1, width, 3), bytes(3 * width))])
        return [list(service_pb2.ModelInferRequest.FromString(sent).inputs[0].shape) for sent in peer.requests]

    assert asyncio.run(main()) == [[1, 1, 4, 3], [1, 1, 5, 3], [1, 1, 4, 3]]


def test_ever_new_image_sizes_do_not_grow_the_cache_without_bound() -> None:
    async def main() -> int:
        gateway = TritonGateway("127.0.0.1:1", "small")
        for width in range(2_000):
            gateway._message(Target("small"), [RawTensor("image.base", "UINT8", (1, 1, width, 3), b"")], ("actions",))
        await gateway.close()
        return len(gateway._prefixes)

    assert asyncio.run(main()) <= 256


def test_outputs_come_back_by_name_with_their_shape_and_type() -> None:
    actions = infer_with(Peer(response(chunk()[None])))["actions"]
    assert actions.dtype == np.float32
    assert np.array_equal(actions, chunk()[None])


@pytest.mark.parametrize(
    "broken",
    [
        response(chunk(), "BYTES"),
        response(chunk(), shape=(4, 8)),
        response(chunk(), shape=(-1, 7)),
        response(np.zeros(29, np.uint8), shape=(1, 7)),
        service_pb2.ModelInferResponse(raw_output_contents=[b"abcd"]),
        service_pb2.ModelInferResponse(outputs=[{"name": "actions", "datatype": "FP32", "shape": [1]}]),
    ],
    ids=["type", "too few bytes", "negative", "odd bytes", "no description", "no bytes"],
)
def test_an_answer_that_contradicts_itself_is_the_models_failure(broken: Any) -> None:
    assert failure_of(Peer(broken)).kind == "model"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", "lost"),
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses", "lost"),
        (grpc.StatusCode.UNAVAILABLE, "", "lost"),
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", "busy"),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", "busy"),
        (grpc.StatusCode.UNAVAILABLE, "Model 'small' version 1 is not at ready state", "unready"),
        (grpc.StatusCode.UNAVAILABLE, "Server is stopping, scheduler for model has stopped", "unready"),
        (grpc.StatusCode.CANCELLED, "Channel closed!", "cancelled"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "cancelled"),
        (grpc.StatusCode.INTERNAL, "onnxruntime: bad allocation", "model"),
        (grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input", "model"),
        (grpc.StatusCode.NOT_FOUND, "", "model"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large", "model"),
        (grpc.StatusCode.UNKNOWN, "?", "model"),
    ],
)
def test_each_status_of_grpc_has_its_kind(code: grpc.StatusCode, text: str, kind: str) -> None:
    failure = failure_of(Peer(abort=(code, text)))
    assert failure.kind == kind
    assert failure.detail == text or not text


# What `reflex_frontend` needs of any Triton: the real gateway and the fake of the other tests keep the same contract.

Setup = Callable[[str], "contextlib.AbstractAsyncContextManager[Triton]"]


@contextlib.asynccontextmanager
async def real(behaviour: str) -> AsyncIterator[Triton]:
    if behaviour == "dead":
        gateway = TritonGateway("127.0.0.1:1", "small")
        yield gateway
        await gateway.close()
        return
    abort = (grpc.StatusCode.INTERNAL, "broken") if behaviour == "broken" else None
    async with gateway_to(Peer(response(chunk()[None]), abort)) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def fake(behaviour: str) -> AsyncIterator[Triton]:
    failures = {"dead": TritonCallError("lost", "gone"), "broken": TritonCallError("model", "broken")}
    yield FakeTriton(failures.get(behaviour, outputs()), live=behaviour != "dead")


both = pytest.mark.parametrize("triton", [real, fake])


def with_triton(setup: Setup, behaviour: str, use: Callable[[Triton], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with setup(behaviour) as triton:
            return await use(triton)

    return asyncio.run(main())


async def _kind(triton: Triton) -> str:
    with pytest.raises(TritonCallError) as caught:
        await triton.infer(INPUTS)
    return caught.value.kind


def test_the_metadata_of_a_call_reach_triton_as_headers_of_that_call_alone() -> None:
    peer = Peer(response(chunk()[None]))

    async def scenario() -> None:
        async with gateway_to(peer) as gateway:
            await gateway.infer(INPUTS, (("traceparent", "00-1-2-01"),))
            await gateway.infer(INPUTS)

    asyncio.run(scenario())

    assert peer.headers[0]["traceparent"] == "00-1-2-01"
    assert "traceparent" not in peer.headers[1]


@both
def test_contract_a_healthy_triton_is_live_and_ready_and_answers_a_batch_of_one(triton: Setup) -> None:
    async def use(subject: Triton) -> tuple[bool, bool, Outputs]:
        return await subject.is_live(), await subject.is_model_ready(), await subject.infer(INPUTS)

    live, ready, answer = with_triton(triton, "healthy", use)
    assert live
    assert ready
    assert np.array_equal(answer["actions"], chunk()[None])


@both
def test_contract_a_dead_triton_loses_calls_and_is_neither_live_nor_ready(triton: Setup) -> None:
    async def use(subject: Triton) -> tuple[bool, bool, str]:
        return await subject.is_live(), await subject.is_model_ready(), await _kind(subject)

    assert with_triton(triton, "dead", use) == (False, False, "lost")


@both
def test_contract_a_model_that_fails_leaves_triton_live(triton: Setup) -> None:
    async def use(subject: Triton) -> tuple[str, bool]:
        return await _kind(subject), await subject.is_live()

    assert with_triton(triton, "broken", use) == ("model", True)


@both
def test_contract_after_close_calls_are_cancelled_and_probes_say_no(triton: Setup) -> None:
    async def use(subject: Triton) -> tuple[str, bool, bool]:
        await subject.close()
        return await _kind(subject), await subject.is_live(), await subject.is_model_ready()

    assert with_triton(triton, "healthy", use) == ("cancelled", False, False)


@pytest.mark.parametrize(
    ("groups", "counted"),
    [
        ({"denoise": [(2, [])], "encoder": [(1, [])]}, {"denoise": 2, "encoder": 1}),
        ({"denoise": [(2, [0, 1])], "encoder": [(3, [])]}, {"denoise": 4, "encoder": 3}),
        ({"denoise": [(1, [0]), (1, [1]), (1, [2])]}, {"denoise": 3}),
        ({"denoise": [], "encoder": [(0, [])]}, {"encoder": 1}),
        ({}, {}),
    ],
)
def test_the_instances_of_each_model_are_those_that_triton_tells_of(
    groups: dict[str, list[tuple[int, list[int]]]], counted: dict[str, int]
) -> None:
    async def main() -> Mapping[str, int]:
        async with gateway_to(Peer(groups=groups)) as gateway:
            return await gateway.instances_of(["encoder", "denoise"])

    assert asyncio.run(main()) == counted


def test_a_triton_that_is_gone_tells_of_no_instances() -> None:
    async def main() -> Mapping[str, int]:
        async with gateway_to(Peer()) as gateway:
            await gateway.close()
            return await gateway.instances_of(["encoder"])

    assert asyncio.run(main()) == {}


def raw_with(peer: Peer, target: Target, outputs: tuple[str, ...] | None) -> tuple[Sequence[RawTensor], Any]:
    async def main() -> Sequence[RawTensor]:
        async with gateway_to(peer) as gateway:
            return await gateway.infer_raw(target, INPUTS, outputs)

    given = asyncio.run(main())
    return given, service_pb2.ModelInferRequest.FromString(peer.requests[-1])


def test_one_model_of_the_ensemble_is_asked_by_its_name_and_version_for_what_is_wanted_of_it() -> None:
    keys = np.arange(6, dtype=np.float16).reshape(1, 2, 3)
    answer = response(keys, "FP16")
    answer.outputs[0].name = "prefix_keys"
    given, sent = raw_with(Peer(answer), Target("small_encoder", "1"), ("prefix_keys",))
    assert (sent.model_name, sent.model_version) == ("small_encoder", "1")
    assert [output.name for output in sent.outputs] == ["prefix_keys"]
    assert given == [RawTensor("prefix_keys", "FP16", (1, 2, 3), keys.tobytes())], "as it came, of whatever type"


def test_a_model_that_is_asked_for_nothing_special_gives_what_the_ensemble_is_asked_for() -> None:
    given, sent = raw_with(Peer(response(chunk()[None])), Target("small_denoise"), None)
    assert [output.name for output in sent.outputs] == ["actions"]
    np.testing.assert_array_equal(arrays_of(given)["actions"], chunk()[None])


def test_an_output_that_does_not_come_is_the_models_failure() -> None:
    with pytest.raises(TritonCallError, match="lacks an output") as caught:
        raw_with(Peer(response(chunk()[None])), Target("small_encoder"), ("actions", "prefix_keys"))
    assert caught.value.kind == "model"
