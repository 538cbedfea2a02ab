"""`openpi`: observations by the names that such servers have, and never the answer to another observation."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from reflex.connector import CameraFrame
from reflex.errors import ClientTimeoutError, InferenceError, InvalidRequestError, SetupError, TransportError
from reflex.wire.arrays import OPENPI_CLIENT, array_map, read_arrays
from reflex.wire.packing import pack, unpack
from reflex_runner.transports.build import build_transport
from support.images import photo
from support.runner.asked import observation, silent_server, target

REFLEX = {"server": "reflex", "control_hz": 50.0}
CHUNK = {"actions": array_map(np.full((4, 7), 0.25), OPENPI_CLIENT), "server_timing": {"infer_ms": 3.0}}
Answer = Callable[[dict[str, Any]], bytes | str | None]


@dataclass
class Server:
    """Gives its metadata, then what `answer` makes of each observation: nothing when that is None."""

    metadata: dict[str, Any] = field(default_factory=lambda: dict(REFLEX))
    answer: Answer = lambda _fields: pack(CHUNK)
    port: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.headers.append(dict(connection.request.headers.raw_items()))
        with contextlib.suppress(ConnectionClosed):
            connection.send(pack(self.metadata))
            for message in connection:
                assert isinstance(message, bytes)
                fields, _ = read_arrays(unpack(message))
                self.received.append(fields)
                said = self.answer(fields)
                if said is not None:
                    connection.send(said)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with serve(made, "127.0.0.1", 0, compression=None, max_size=None) as listening:
        made.port = listening.socket.getsockname()[1]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield made
        listening.shutdown()
        thread.join()


@contextlib.contextmanager
def plain_server() -> Iterator[int]:
    """Says at once what is no TLS, and stays until the other side has gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def tell() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=tell)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@contextlib.contextmanager
def opened(server: Server, path: str = "", **settings: Any) -> Iterator[Any]:
    keywords = {name: settings.pop(name) for name in ("api_key", "control_hz") if name in settings}
    address = target(f"http://127.0.0.1:{server.port}{path}", **settings)
    transport = build_transport("openpi", address, instruction="pick", **keywords)
    try:
        transport.open()
        yield transport
    finally:
        transport.close()


def test_an_answer_is_dated_and_the_server_learns_the_episode(server: Server) -> None:
    with opened(server) as transport:
        dated = transport.ask(4, observation(5.0), executed_steps=3)
        transport.ask(5, observation(task="place"), executed_steps=None)
    assert (dated.seq, dated.captured_s, dated.step_s, dated.actions.shape) == (4, 5.0, 1 / 50, (4, 7))
    assert (dated.actions.dtype, dated.answer["server_timing"]) == (np.float32, {"infer_ms": 3.0})
    first, second = server.received
    assert (first["prompt"], second["prompt"], first["executed_steps"]) == ("pick", "place", 3)
    assert first["state"].dtype == np.float32
    assert np.array_equal(first["image"], photo(3, 64, 48))
    assert first["episode_id"] == second["episode_id"]
    assert server.paths == ["/openpi"]


def test_another_server_hears_its_own_names_and_nothing_of_ours(server: Server) -> None:
    server.metadata = {}
    frame = CameraFrame(photo(1, 8, 8), 0.0)
    cameras = {"observation/image": frame, "images.cam_high": frame, "images.cam_low": frame}
    names = {"state_field": "observation/state", "instruction_field": "task", "extra_payload": {"arm": "left"}}
    with opened(server, "/policy", control_hz=20.0, **names) as transport:
        assert transport.ask(0, observation(cameras=cameras), executed_steps=3).step_s == 0.05
    (sent,) = server.received
    assert set(sent) == {"observation/image", "images", "observation/state", "task", "arm"}
    assert set(sent["images"]) == {"cam_high", "cam_low"}
    assert server.paths == ["/policy"]


def test_a_seed_is_of_the_first_chunk_and_one_more_with_each_further_one(server: Server) -> None:
    with opened(server, seed=40) as transport:
        transport.ask(0, observation(), executed_steps=None)
        transport.ask(1, observation(), executed_steps=None)
    assert [sent["seed"] for sent in server.received] == [40, 41]


def test_a_server_that_says_no_rate_needs_one_from_the_config(server: Server) -> None:
    server.metadata = {}
    with pytest.raises(SetupError, match=r"set session\.control_period_s"), opened(server):
        pass


def test_the_key_of_the_moment_goes_with_each_connection(server: Server) -> None:
    keys = iter([f"rfx_sess_{name}.c2ln" for name in ("one", "two")])
    server.answer = lambda _fields: b"\xc1"
    with opened(server, api_key=lambda: next(keys)) as transport:
        for _ in range(2):
            with pytest.raises(TransportError, match="no answer of openpi's protocol"):
                transport.ask(0, observation(), executed_steps=None)
    assert [each["Authorization"] for each in server.headers] == [
        "Bearer rfx_sess_one.c2ln",
        "Bearer rfx_sess_two.c2ln",
    ]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("state_dim_mismatch: state_dim_mismatch: six values", InvalidRequestError, "mismatch: six values"),
        ("Traceback (most recent call last):\n  File\nValueError: no key\n", InferenceError, "ValueError: no key"),
        ("", InferenceError, "gave no reason"),
        (pack({"actions": "none"}), TransportError, "no finite action chunk"),
        (pack([1]), TransportError, "no answer of openpi's protocol"),
    ],
)  # fmt: skip
def test_what_is_no_chunk_is_one_sentence_and_the_next_observation_is_answered(
    server: Server, said: bytes | str, error: type[Exception], words: str
) -> None:
    server.answer = lambda _fields: said if len(server.received) == 1 else pack(CHUNK)
    with opened(server) as transport:
        with pytest.raises(error, match=words) as refused:
            transport.ask(0, observation(), executed_steps=None)
        assert "Traceback" not in str(refused.value)
        assert transport.ask(1, observation(), executed_steps=None).seq == 1


def test_a_late_answer_is_never_that_of_the_next_observation(server: Server) -> None:
    goes_on = threading.Event()

    def late(_fields: dict[str, Any]) -> bytes:
        if len(server.received) == 1:
            goes_on.wait()
            return pack({"actions": array_map(np.ones((1, 7)), OPENPI_CLIENT)})
        return pack(CHUNK)

    server.answer = late
    with opened(server, timeout_s=0.2) as transport:
        with pytest.raises(ClientTimeoutError):
            transport.ask(0, observation(), executed_steps=None)
        goes_on.set()
        with contextlib.suppress(ClientTimeoutError):  # of a machine that is very busy
            assert transport.ask(1, observation(), executed_steps=None).actions[0, 0] == 0.25


def test_a_server_that_is_not_there_and_one_that_is_silent_are_told_apart(server: Server) -> None:
    with silent_server() as url:
        silent = build_transport("openpi", {"url": url, "connect_timeout_s": 0.2})
        with pytest.raises(ClientTimeoutError, match="did not answer in time"):
            silent.open()
    gone = build_transport("openpi", {"url": url, "connect_timeout_s": 0.2})
    with pytest.raises(TransportError, match="cannot be reached"):
        gone.open()


def test_a_server_without_tls_is_not_said_to_be_away() -> None:
    with plain_server() as port:
        secure = build_transport("openpi", target(f"wss://127.0.0.1:{port}"))
        with pytest.raises(TransportError, match="cannot be reached by TLS"):
            secure.ask(0, observation(), executed_steps=None)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a", "", "http://"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(SetupError, match="target"):
        build_transport("openpi", {"url": url})
