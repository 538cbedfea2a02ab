"""What LeRobot's own process is asked, and how it answers; in place of the checkpoint stands a sum of the picture."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from reflex_bench.in_process import lerobot_act
from reflex_bench.in_process.lerobot_act import ActServer, Asked, asked_of, main, pixels_of
from support.images import as_base64, encoded
from support.waiting import HANGS_S, wait_until

PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


class Sums:
    """A chunk of two actions: the state, and the sum of the first picture."""

    state_dim = 2

    def __init__(self) -> None:
        self.cameras: tuple[str, ...] = ("front", "wrist")
        self.fails: Exception | None = None

    def chunk(self, asked: Asked) -> list[list[float]]:
        if self.fails is not None:
            raise self.fails
        return [asked.state.tolist(), [float(asked.pictures["front"].sum()), float(len(asked.instruction))]]


def file_of(kind: str, pixels: Any = PIXELS) -> str:
    return as_base64(encoded(pixels, kind))


def observation(**others: Any) -> dict[str, Any]:
    images = {"front": file_of("PNG"), "wrist": file_of("JPEG")}
    return {"state": [1, 2.5], "instruction": "pick", "images": images, "request_id": "r1", **others}


@pytest.fixture
def policy() -> Sums:
    return Sums()


@pytest.fixture
def server(policy: Sums) -> Iterator[ActServer]:
    with ActServer(policy) as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join(HANGS_S)


def posted(server: ActServer, **keywords: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/act", timeout=HANGS_S, trust_env=False, **keywords)


def test_a_picture_is_the_same_as_file_as_uri_and_as_numbers() -> None:
    uri = f"data:image/png;base64,{file_of('PNG')}"
    for given in (file_of("PNG"), uri, PIXELS.tolist()):
        assert np.array_equal(pixels_of("front", given), PIXELS)
    jpeg = pixels_of("front", file_of("JPEG"))
    assert (jpeg.shape, jpeg.dtype.name) == (PIXELS.shape, "uint8")
    alpha = np.dstack([PIXELS, np.full((4, 5), 9, np.uint8)])
    assert np.array_equal(pixels_of("front", file_of("PNG", alpha)), PIXELS)


@pytest.mark.parametrize(
    "given",
    [
        "!", "data:,", base64.b64encode(b"GIF89a").decode(), file_of("GIF"), file_of("PNG")[:60], 7, {}, [], [[1]],
        [[[1, 2]]], [[[1, 2, 256]]], [[[1, 2, -1]]], [[[1, 2, 1.5]]], [[[1, 2, True]]], [[[1, 2, 10**30]]],
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_by_its_name(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^front: "):
        pixels_of("front", given)


def test_a_picture_is_bounded_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lerobot_act, "MOST_PIXELS", 19)
    with pytest.raises(ValueError, match="more than 19 pixels"):
        pixels_of("front", file_of("PNG"))


def test_every_form_of_the_first_picture_is_taken(policy: Sums) -> None:
    policy.cameras = ("front",)
    told = observation(images=None)
    for field in ({"image_b64": file_of("PNG")}, {"image": file_of("PNG")}, {"image": PIXELS.tolist()}):
        asked = asked_of(told | field, policy)
        assert np.array_equal(asked.pictures["front"], PIXELS)
        assert (asked.state.dtype.name, asked.state.tolist(), asked.instruction) == ("float32", [1.0, 2.5], "pick")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "one JSON object"),
        (observation(instruction=7), "instruction: "),
        (observation(instruction="x" * 513), "at most 512"),
        (observation(state=[1]), "state: send 2"),
        (observation(state=[1, True]), "finite"),
        (observation(state=[1, float("nan")]), "finite"),
        (observation(state="12"), "state: "),
        (observation(images={"front": file_of("PNG")}), "none of wrist; send one of each of front, wrist"),
        (observation(images=None), "none of front, wrist"),
    ],
)
def test_what_is_no_observation_says_what_is_wrong(policy: Sums, body: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        asked_of(body, policy)


def test_it_answers_one_chunk_for_one_observation_on_a_connection_that_stays(server: ActServer) -> None:
    with httpx.Client(base_url=server.url, timeout=HANGS_S, trust_env=False) as client:
        assert client.get("/health").json() == {"status": "ready"}
        for _ in range(2):
            answer = client.post("/act", json=observation())
            assert (answer.status_code, answer.json()["request_id"]) == (200, "r1")
            assert answer.json()["actions"] == [[1.0, 2.5], [float(PIXELS.sum()), 4.0]]
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ask", "status", "error"),
    [
        (lambda server: posted(server, content=b"{"), 400, "invalid_request"),
        (lambda server: posted(server, content=b"[" * 100_000), 400, "invalid_request"),
        (lambda server: posted(server, json=observation(state=[])), 400, "invalid_request"),
        (lambda server: httpx.get(f"{server.url}/config", trust_env=False), 404, "not_found"),
        (lambda server: httpx.post(f"{server.url}/other", content=b"{}", trust_env=False), 404, "not_found"),
    ],
)
def test_what_it_cannot_answer_is_one_line(
    server: ActServer, ask: Callable[[ActServer], httpx.Response], status: int, error: str
) -> None:
    answer = ask(server)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "\n" not in answer.json()["message"]
    assert posted(server, json=observation()).status_code == 200


def test_a_policy_that_fails_says_so_and_the_next_one_is_answered(server: ActServer, policy: Sums) -> None:
    policy.fails = RuntimeError("sizes\n  differ")
    answer = posted(server, json=observation())
    assert (answer.status_code, answer.json()) == (500, {"error": "policy_failed", "message": "sizes differ"})
    policy.fails = None
    assert posted(server, json=observation()).status_code == 200


@pytest.mark.parametrize("length", ["8388609", "9" * 40, "-1", "many"])
def test_a_body_is_bounded_before_it_is_read(server: ActServer, length: str) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=HANGS_S) as connection:
        connection.sendall(f"POST /act HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        said = b"".join(iter(lambda: connection.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in said


def test_a_client_that_goes_away_is_one_line(server: ActServer, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=HANGS_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"POST /act HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    said: list[str] = []

    def is_told() -> bool:
        said.append(capsys.readouterr().err)
        return any(said)

    wait_until(is_told, "a line of it")
    assert "".join(said).startswith("lerobot_act.py: a request was not answered: ConnectionResetError(")
    assert "".join(said).count("\n") == 1


@pytest.mark.slow
def test_it_tells_of_itself_and_needs_nothing_of_ours(tmp_path: Path) -> None:
    program = [sys.executable, "-I", lerobot_act.__file__]
    helped = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True, timeout=HANGS_S)
    assert "example: .lerobot/bin/python" in helped.stdout
    listed = "import runpy,sys; runpy.run_path(sys.argv[1]); print([n for n in sys.modules if n.startswith('reflex')])"
    asked = [sys.executable, "-I", "-c", listed, lerobot_act.__file__]
    assert subprocess.run(asked, capture_output=True, text=True, check=True, timeout=HANGS_S).stdout == "[]\n"


def test_without_lerobot_it_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("lerobot_act.py: No module named ")
    assert said.count("\n") == 1
