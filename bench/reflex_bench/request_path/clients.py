"""`make bench ARGS=--clients`: one request straight to Triton through three gRPC clients, asked in turns.

The frontend's own; gRPC's (`grpc.aio`); and one of the same shape as ours whose HTTP/2 is python-hyper's `h2`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import grpc.aio
import h2.config
import h2.connection
import h2.events
from tritonclient.grpc import service_pb2

from reflex_bench.loads import Call, Row, closed_loop, percentile, sequential
from reflex_bench.observation import act_tensors, jpeg_base64
from reflex_bench.server import Served
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.triton.channel import SERVICE, Channel

__all__ = ["HyperClient", "client_rows"]

ROUNDS: Final = 20
CALLS: Final = 50
WARM_S: Final = 0.5
CLIENTS: Final = 8
LOADS: Final = 3
METHOD: Final = f"{SERVICE}ModelInfer"
FIELDS: Final = [
    (":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "localhost"), ("te", "trailers"),
    ("content-type", "application/grpc"), ("grpc-timeout", "30000m"),
]  # fmt: skip

Ask = Callable[[bytes], Awaitable[bytes]]


async def client_rows(served: Served, seconds: float) -> list[Row]:
    """Latency, processor time of the client's own process, and the rate of eight calls at once."""
    message = _message(served)
    path = served.triton.removeprefix("unix:")
    _, hyper = await asyncio.get_running_loop().create_unix_connection(HyperClient, path)
    async with grpc.aio.insecure_channel(served.triton) as theirs, Channel(served.triton) as ours:
        asks: dict[str, Ask] = {
            "grpc.aio": theirs.unary_unary(METHOD),
            "h2": hyper.ask,
            "ours": lambda sent: ours.call(METHOD, sent, timeout_s=30.0),
        }
        rows = await _compare({name: _checked(ask, message) for name, ask in asks.items()}, seconds)
    hyper.close()
    return rows


def _message(served: Served) -> bytes:
    policy = load_policy(served.repository, None)
    request = service_pb2.ModelInferRequest(model_name=policy.config.policy_id)
    for tensor in act_tensors(policy, 7.0, jpeg_base64()):
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(bytes(tensor.data))
    return bytes(request.SerializeToString())


def _checked(ask: Ask, message: bytes) -> Call:
    async def call() -> None:
        answer = service_pb2.ModelInferResponse.FromString(await ask(message))
        if not answer.raw_output_contents:
            raise RuntimeError("an answer without its output")

    return call


async def _compare(calls: dict[str, Call], seconds: float) -> list[Row]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    cpu_s: dict[str, float] = dict.fromkeys(calls, 0.0)
    rates: dict[str, float] = dict.fromkeys(calls, 0.0)
    for call in calls.values():
        await closed_loop([call] * CLIENTS, WARM_S)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            before_s = time.process_time()
            times[name] += await sequential(call, CALLS)
            cpu_s[name] += time.process_time() - before_s
    for _ in range(LOADS):
        for name, call in calls.items():
            rates[name] += (await closed_loop([call] * CLIENTS, seconds / LOADS))[0] / LOADS
    rows = []
    for name, some in times.items():
        rows += [
            Row(f"direct gRPC p50, {name}", 1e3 * percentile(some, 0.5), "ms"),
            Row(f"client's processor time of a call, {name}", 1e3 * cpu_s[name] / len(some), "ms"),
            Row(f"direct gRPC, {CLIENTS} clients, {name}", rates[name], "/s"),
        ]
    ratio = percentile(times["ours"], 0.5) / percentile(times["grpc.aio"], 0.5)
    return [*rows, Row("direct gRPC p50, ours over grpc.aio", ratio, "x", "<= 0.9", ratio <= 0.9)]


class HyperClient(asyncio.Protocol):
    """Unary calls by `h2`, as little as that needs."""

    def __init__(self) -> None:
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._came: dict[int, bytearray] = {}
        self._unsent: dict[int, memoryview] = {}

    async def ask(self, message: bytes) -> bytes:
        """The answer's message."""
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, FIELDS)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[stream], self._came[stream] = answer, bytearray()
        self._unsent[stream] = memoryview(b"\x00" + len(message).to_bytes(4, "big") + message)
        self._push(stream)
        self._transport.write(self._h2.data_to_send())
        return await answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._h2.initiate_connection()
        self._transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            self._take(event)
        self._transport.write(self._h2.data_to_send())

    def _take(self, event: Any) -> None:  # noqa: ANN401 - one of h2's many
        if isinstance(event, h2.events.DataReceived):
            self._came[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._waiting.pop(event.stream_id).set_result(bytes(self._came.pop(event.stream_id)[5:]))
            self._unsent.pop(event.stream_id)
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            for stream in list(self._unsent):
                self._push(stream)

    def _push(self, stream: int) -> None:
        rest = self._unsent[stream]
        while rest:
            size = min(len(rest), self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if size <= 0:
                break
            self._h2.send_data(stream, bytes(rest[:size]), end_stream=size == len(rest))
            rest = rest[size:]
        self._unsent[stream] = rest
