"""The published openpi-client, and clients of the other dialects, on a real server: their answers are those of /act."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import msgpack
import msgpack_numpy
import numpy as np
import psutil
import pytest
from openpi_client import msgpack_numpy as openpi_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from reflex.wire import MAX_BODY_BYTES
from reflex_bench.openpi_bench import overheads_ms
from support.hostile_served import Served
from support.images import as_base64, encoded, photo
from support.promise import Promise
from support.waiting import HANGS_S, wait_until

pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")
"""The client calls it otherwise, as it could when it was published."""

REQUESTS: Final = int(os.environ.get("REFLEX_OPENPI_REQUESTS", "8"))
FRAMES: Final = int(os.environ.get("REFLEX_OPENPI_FRAMES", "60"))
STATE: Final = [0.25, 0.5, 0.0, 0.0, 0.0, 0.0]
IMAGE: Final = photo(3, 224, 224)


def observation(seed: int, state: str = "observation/state") -> dict[str, Any]:
    """As LIBERO's program writes it, and a seed; of a long deadline, for a busy machine."""
    return {
        "observation/image": IMAGE, state: np.asarray(STATE, np.float64), "prompt": "pick up the red cup", "seed": seed,
        "deadline_ms": 10_000,
    }  # fmt: skip


def actions_of_act(server: Served, seed: int) -> Any:
    image = as_base64(encoded(IMAGE, "PNG"))
    fields = {"instruction": "pick up the red cup", "state": STATE, "seed": seed, "image_b64": image}
    return np.asarray(server.act(fields).json()["actions"], np.float32)


def address(server: Served, path: str = "/openpi") -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


@contextlib.contextmanager
def client_of(*address: Any) -> Iterator[WebsocketClientPolicy]:
    """The client as it is installed, which has no way to be closed."""
    client = WebsocketClientPolicy(*address)
    try:
        yield client
    finally:
        client._ws.close()


def test_the_published_client_gets_what_act_gives(demo: Served) -> None:
    with client_of(address(demo)) as client:
        metadata = client.get_server_metadata()
        assert metadata == demo.client.get("/v1/actions/metadata").json()
        assert (metadata["image_keys"], metadata["action_horizon"]) == (["image"], 50)
        for seed in range(REQUESTS):
            answer = client.infer(observation(seed))
            assert answer["actions"].shape == (50, 7)
            if seed % 100 < 3:
                assert np.array_equal(answer["actions"], actions_of_act(demo, seed))
    assert set(answer["server_timing"]) == {"infer_ms", "prev_total_ms"}
    assert answer["robot_id"] == "arm-7"


def with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.decode() if isinstance(key, bytes) else key: with_text_keys(item) for key, item in value.items()}
    return "" if value == b"" else value


def pack_with_text_keys(value: Any) -> bytes:
    data: bytes = msgpack.packb(with_text_keys(msgpack.unpackb(msgpack_numpy.packb(value))))
    return data


def unpack_with_text_keys(data: bytes) -> Any:
    def array(fields: dict[str, Any]) -> Any:
        if "nd" not in fields:
            return fields
        assert fields["kind"] == ""
        return np.frombuffer(fields["data"], fields["type"]).reshape(fields["shape"])

    return msgpack.unpackb(data, object_hook=array)


@pytest.mark.parametrize(
    ("pack", "unpack", "path"),
    [
        (msgpack_numpy.packb, msgpack_numpy.unpackb, "/openpi/policy"),
        (pack_with_text_keys, unpack_with_text_keys, "/v1/realtime/robot/openpi"),
    ],
    ids=["bytes as keys", "text as keys"],
)
def test_clients_of_msgpack_numpy_are_answered_in_their_own_dialect(
    demo: Served, pack: Callable[[Any], bytes], unpack: Callable[[bytes], Any], path: str
) -> None:
    with connect(address(demo, path), compression=None, max_size=None) as socket:
        assert msgpack.unpackb(socket.recv(HANGS_S))["state_dim"] == 6
        for seed in range(3):
            answer = unpack(asked(socket, pack(observation(seed, state="state"))))
            assert np.array_equal(answer["actions"], actions_of_act(demo, seed))


@pytest.mark.slow
def test_openpi_is_spoken_at_the_root_where_that_is_asked_for_and_the_page_stays(
    demo: Served, unguarded: Served
) -> None:
    with client_of("127.0.0.1", unguarded.port) as client:
        assert client.infer(observation(0))["action_dim"] == 7
    assert unguarded.client.get("/").headers["content-type"].startswith("text/html")
    with pytest.raises(InvalidStatus) as caught, connect(address(demo, "/")):
        pass
    assert caught.value.response.status_code == 200


def test_an_error_is_raised_by_the_client_as_one_sentence_and_the_next_inference_works(demo: Served) -> None:
    with client_of(address(demo)) as client:
        with pytest.raises(RuntimeError, match="state_dim_mismatch: state must have 6 values") as caught:
            client.infer({**observation(0), "observation/state": np.zeros(5)})
        assert "Traceback" not in str(caught.value)
        assert client.infer(observation(0))["num_actions"] == 50


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/openpi", {"origin": "https://evil.example"}, 403),
        ("/openpi", {"subprotocols": ["mqtt"]}, 400),
        ("/openpi", {"additional_headers": {"Host": "evil.example"}}, 400),
        ("/act", {}, 405),
        ("/openpi/other", {}, 404),
    ],
)
def test_who_may_not_open_one_gets_the_envelope(demo: Served, path: str, options: Any, status: int) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(address(demo, path), **options):
        pass
    assert caught.value.response.status_code == status


@pytest.mark.slow
def test_spoilt_frames_are_refused_in_words_or_answered_and_cost_no_5xx_and_no_memory(demo: Served) -> None:
    choice = random.Random(5)
    frame = openpi_numpy.packb({**observation(1), "observation/image": photo(1, 8, 8)})
    refused = 0
    said_before = len(demo.process.log)
    send_too_much(demo)  # what a server takes once for its longest messages is no growth
    before = memory_mb(demo)
    with connect(address(demo), compression=None) as socket:
        socket.recv(HANGS_S)
        for _ in range(FRAMES):
            answer = asked(socket, spoilt(choice, frame))
            if isinstance(answer, str):
                refused += 1
                assert not answer.startswith(("internal", "inference_failed"))
    assert refused
    send_too_much(demo)
    assert 'status="500"' not in demo.client.get("/metrics").text
    assert "ERROR" not in demo.process.log[said_before:]
    assert demo.act().status_code == 200
    wait_until(lambda: memory_mb(demo) < before + 64, "the server's memory is what it was")


def send_too_much(server: Served) -> None:
    """The longest message, which is answered, and one byte more, for which the connection is closed."""
    longest = b"\x81\xa1x\xc6" + (MAX_BODY_BYTES - 8).to_bytes(4, "big") + bytes(MAX_BODY_BYTES - 8)
    with connect(address(server), compression=None) as socket:
        socket.recv(HANGS_S)
        assert asked(socket, longest).startswith("missing_field")
        with pytest.raises(ConnectionClosedError, match="1009"):
            asked(socket, bytes(MAX_BODY_BYTES + 1))


def asked(socket: ClientConnection, data: bytes) -> Any:
    """What is answered: bytes, or text."""
    socket.send(data)
    return socket.recv(HANGS_S)


def spoilt(choice: random.Random, frame: bytes) -> bytes:
    data = bytearray(frame)
    for _ in range(choice.choice((1, 1, 2, 8))):
        at = choice.randrange(len(data))
        kind = choice.randrange(4)
        if kind == 0:
            data[at] = choice.randrange(256)
        elif kind == 1:
            del data[at : at + choice.randrange(1, 60)]
        elif kind == 2:
            data[at:at] = choice.choice((b"\xc7\xff\x01", b"\xdd\xff\xff\xff\xff", b"\x91" * 40, b"\xc1", b"\xa1O"))
        else:
            data[at:at] = data[choice.randrange(len(data)) :][:50]
    return bytes(data)


def memory_mb(server: Served) -> float:
    resident: int = psutil.Process(server.process.process.pid).memory_info().rss
    return resident / 1e6


@pytest.mark.timing
def test_openpi_adds_little_to_the_model(unguarded: Served, promise: Promise) -> None:
    alone_s = []
    for _ in range(12):
        with promise.beside_neighbours() as neighbours:
            median_ms = float(np.median(overheads_ms(unguarded.port, rounds=1, calls=40)["openpi"]))
        alone_s.append(neighbours.without(median_ms / 1_000))
    overhead_s = statistics.median(alone_s)
    promise("openpi adds 1.5 ms to the model at the median, with one picture of 224 px", overhead_s, at_most=0.0015)


def test_the_metadata_is_one_of_the_documented_routes(demo: Served) -> None:
    document = httpx.get(f"{demo.process.base_url}/openapi.json", timeout=HANGS_S, verify=False).json()
    assert "/v1/actions/metadata" in document["paths"]
