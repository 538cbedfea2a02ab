"""The gRPC connection to Triton, and the calls of its service by name."""

from __future__ import annotations

from typing import Any, Final

import grpc.aio
from tritonclient.grpc import service_pb2

__all__ = ["open_channel", "service_call"]

SERVICE: Final = "/inference.GRPCInferenceService/"
MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
CHANNEL_OPTIONS: Final = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Where connecting was refused, a Triton that is back is found in half a second; by default in up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # What gRPC calls so is how long an attempt to connect may take: a busy Triton is not there at once. A call waits
    # for it no longer than for anything else, until its own deadline.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel that connects at its first call, and again by itself."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)


def service_call(channel: grpc.aio.Channel, name: str, *, takes_bytes: bool = False) -> Any:  # noqa: ANN401 - gRPC's
    """The call `name`, from its `<name>Request`, or that message's bytes, to its `<name>Response`."""
    request, response = getattr(service_pb2, f"{name}Request"), getattr(service_pb2, f"{name}Response")
    serializer = None if takes_bytes else request.SerializeToString
    return channel.unary_unary(SERVICE + name, request_serializer=serializer, response_deserializer=response.FromString)
