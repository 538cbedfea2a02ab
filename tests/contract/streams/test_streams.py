"""`WS /act/stream` of a real server: its answers are those of /act, strangers are refused, and nothing breaks it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgpack
import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

import reflex
from reflex.api_keys import KeyEntry, digest_of, new_key
from reflex.client import StreamKeyError
from reflex.errors import InvalidRequestError, TransportError
from reflex.wire import MAX_NUMBERS
from support.hostile_served import Served, served
from support.misuse.websocket import Received, binary, frame, opening, read_close, read_frame, text
from support.promise import Promise
from support.streams.listening import dialled
from support.streams.scripted import Fault, Side, proxy
from support.waiting import HANGS_S, wait_until

PIXELS: Final = np.random.RandomState(0).randint(0, 255, (224, 224, 3), np.uint8)
STATE: Final = [0.1, 0.2, 0.0, 0.0, 0.0, 0.0]
OBSERVATION: Final[dict[str, Any]] = {
    "type": "observation", "seq": 1, "instruction": "pick", "state": STATE, "seed": 7, "deadline_ms": 10_000,
}  # fmt: skip


def png() -> bytes:
    written = io.BytesIO()
    Image.fromarray(PIXELS).save(written, "PNG")
    return written.getvalue()


def raw_pixels() -> dict[str, Any]:
    return {"__ndarray__": True, "dtype": "|u1", "shape": list(PIXELS.shape), "data": PIXELS.tobytes()}


def open_streams(server: Served) -> float:
    found = re.search(r"^reflex_streams_open (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def asked(server: Served, data: bytes | str) -> dict[str, Any]:
    """What one message is answered with."""
    with connect(f"ws://127.0.0.1:{server.port}/act/stream", compression=None) as websocket:
        assert msgpack.unpackb(websocket.recv(HANGS_S))["type"] == "ready"
        websocket.send(data)
        answer = websocket.recv(HANGS_S)
        read: dict[str, Any] = json.loads(answer) if isinstance(answer, str) else msgpack.unpackb(answer)
        return read


@pytest.mark.parametrize("image", [png, raw_pixels], ids=["png", "raw"])
def test_a_chunk_is_the_answer_of_act_bit_by_bit(demo: Served, image: Any) -> None:
    body = {"instruction": "pick", "state": STATE, "seed": 7, "image_b64": base64.b64encode(png()).decode()}
    over_http = demo.act(body).json()
    chunk = asked(demo, msgpack.packb({**OBSERVATION, "image": image()}))
    over_json = asked(demo, json.dumps({**OBSERVATION, "image_b64": body["image_b64"]}))

    actions = np.frombuffer(chunk["actions"]["data"], "<f4").reshape(chunk["actions"]["shape"])
    assert np.array_equal(actions, np.asarray(over_http["actions"], np.float32))
    assert over_json["actions"] == over_http["actions"]
    assert chunk.keys() - {"type", "seq"} == over_http.keys() == over_json.keys() - {"type", "seq"}


def test_the_client_drives_a_real_server(demo: Served) -> None:
    with reflex.ActionStream(prompt="pick", url=demo.process.base_url, deadline_s=10.0, robot="franka") as stream:
        for _ in range(3):
            seq = stream.send_observation(state=STATE, images={"image": PIXELS})
            chunk = stream.recv_action(HANGS_S)
            assert (chunk["seq"], chunk["robot_id"]) == (seq, "arm-7")
            assert chunk["actions"].shape == (chunk["num_actions"], chunk["action_dim"])
        stream.send_observation(state=[0.0])
        with pytest.raises(InvalidRequestError, match="state must have"):
            stream.recv_action(HANGS_S)


LONG_FRAME: Final = bytes([0x82, 0xFF]) + (9 * 2**20).to_bytes(8, "big") + bytes(4)
GARBAGE: Final[dict[str, tuple[bytes, int]]] = {
    "no msgpack": (binary(b"\xc1" * 50), 1007),
    "no json": (text("{" * 50), 1007),
    "a number": (binary(b"\x07"), 1007),
    "an extension": (binary(msgpack.packb({"type": "hello", "x": msgpack.ExtType(42, b"x")})), 1007),
    "a length without end": (binary(b"\xdd\xff\xff\xff\xff"), 1007),
    "nested without end": (binary(b"\x91" * 100_000), 1007),
    "a million numbers and more": (text('{"x": [' + "0," * (MAX_NUMBERS + 1) + "0]}"), 1007),
    "no UTF-8": (frame(Opcode.TEXT, b"\xff\xfe"), 1007),
    "more than 8 MiB": (LONG_FRAME, 1009),
    "no mask": (frame(Opcode.BINARY, b"x", mask=False), 1002),
    "a continuation of nothing": (frame(Opcode.CONT, b"x"), 1002),
    "an opcode of nobody": (bytes([0x83, 0x80]) + bytes(4), 1002),
    "a ping that is too long": (bytes([0x89, 0xFE, 0x01, 0x00]) + bytes(4 + 256), 1002),
}


async def ended_by(port: int, sent: bytes) -> tuple[int, str]:
    async with dialled(port) as (reader, writer):
        writer.write(opening("/act/stream", host=f"127.0.0.1:{port}"))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        async with asyncio.timeout(HANGS_S):
            return await read_close(reader)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_ends_the_stream_with_a_reason_and_nothing_else(demo: Served, kind: str) -> None:
    sent, code = GARBAGE[kind]
    told = asyncio.run(ended_by(demo.port, sent))

    assert told[0] == code
    assert told[1]
    assert demo.act().status_code == 200
    wait_until(lambda: open_streams(demo) == 0, "the stream is gone")


async def answered(port: int, *frames: bytes) -> Received:
    """The second data frame: the first one is `ready`."""
    data: list[Received] = []
    async with dialled(port) as (reader, writer):
        writer.write(opening("/act/stream", host=f"127.0.0.1:{port}"))
        await reader.readuntil(b"\r\n\r\n")
        for part in frames:
            writer.write(part)
            await writer.drain()
        while len(data) < 2:
            received = await read_frame(reader)
            data += [received] if received.opcode in (Opcode.BINARY, Opcode.TEXT) else []
    return data[1]


def test_a_message_in_fragments_with_a_ping_between_them_is_one_observation(demo: Served) -> None:
    packed = msgpack.packb({**OBSERVATION, "image": png()})
    parts = [packed[:10], packed[10:1000], packed[1000:]]
    fragments = [
        frame(Opcode.BINARY, parts[0], fin=False), frame(Opcode.PING, b"there?"),
        frame(Opcode.CONT, parts[1], fin=False), frame(Opcode.CONT, parts[2]),
    ]  # fmt: skip
    assert msgpack.unpackb(asyncio.run(answered(demo.port, *fragments)).data)["type"] == "chunk"


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["reset", "end", "silence"])
@pytest.mark.parametrize("towards", ["client", "server"])
def test_a_connection_that_is_cut_anywhere_is_known_and_forgotten(demo: Served, towards: Side, fault: Fault) -> None:
    with proxy(demo.port) as between:
        for cut in (1, 2, 5, 1000):
            between.cut_after = None
            stream = reflex.ActionStream(prompt="pick", url=between.url, deadline_s=0.5 if fault == "silence" else 10.0)
            stream.open()
            between.towards, between.fault, between.cut_after = towards, fault, between.passed[towards] + cut
            stream.send_observation(state=STATE, images=PIXELS)
            with pytest.raises(TransportError):
                stream.recv_action(HANGS_S)
            assert stream.counts.delivered == 0
            stream.close()
    wait_until(lambda: open_streams(demo) == 0, "all streams are gone")
    assert demo.act().status_code == 200


@dataclass(frozen=True)
class Keyed:
    """A server that asks for a key, and the file with the key."""

    server: Served
    file: Path
    key: str


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    key, file = new_key(), tmp_path / "keys"
    file.write_text(KeyEntry("robot", digest_of(key.encode())).as_line())
    with served("--api-keys", str(file)) as server:
        yield Keyed(server, file, key)


def refusal(port: int, **headers: str) -> int:
    with (
        pytest.raises(InvalidStatus) as raised,
        connect(
            f"ws://127.0.0.1:{port}/act/stream",
            additional_headers=headers,
            origin=headers.pop("origin", None),  # type: ignore[arg-type]
        ),
    ):
        pass
    body = json.loads(raised.value.response.body or b"")
    assert {"error", "message", "request_id"} <= body.keys()
    return raised.value.response.status_code


@pytest.mark.slow
def test_key_page_and_end_of_a_server_hold_on_a_stream(keyed: Keyed, promise: Promise) -> None:
    """One server for all of it: it takes seconds to start."""
    url, port = keyed.server.process.base_url, keyed.server.port
    with pytest.raises(StreamKeyError):
        reflex.ActionStream(prompt="pick", url=url, api_key=new_key(), connect_retry_seconds=0).open()
    assert refusal(port) == 401
    assert refusal(port, Authorization=f"Bearer {keyed.key}", origin="https://evil.example") == 403

    with reflex.ActionStream(prompt="pick", url=url, api_key=keyed.key, deadline_s=10.0) as stream:
        stream.send_observation(state=STATE, images=PIXELS)
        assert stream.recv_action(HANGS_S)["seq"] == 1
        keyed.file.write_text("# nobody\n")
        gone_at = time.monotonic()
        with pytest.raises(TransportError, match="1008: unauthorized"):
            stream.recv_action(HANGS_S)
        promise("a stream ends within a second of its key", time.monotonic() - gone_at, at_most=1.0)

    keyed.file.write_text(KeyEntry("robot", digest_of(keyed.key.encode())).as_line())
    stream = reflex.ActionStream(prompt="pick", url=url, api_key=keyed.key, deadline_s=10.0, connect_retry_seconds=30)
    wait_until(
        lambda: keyed.server.client.get("/config", headers={"X-Reflex-Key": keyed.key}).status_code == 200, "read"
    )
    with stream:
        keyed.server.process.process.send_signal(signal.SIGTERM)
        with pytest.raises(TransportError, match="going away: draining"):
            stream.recv_action(HANGS_S)
    assert keyed.server.process.stop() == 0
