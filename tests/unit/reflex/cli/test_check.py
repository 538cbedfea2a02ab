from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from docs.documents import REPOSITORY
from reflex.api_keys import new_key
from reflex.cli import app
from reflex.client import chunk
from support.outside.answering import Answering, running

KEY = new_key()
CONFIG = (REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes()


class Server(ThreadingHTTPServer):
    """Serves the demo policy's shape to whoever has the key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Guarded)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Guarded(Answering):
    def get(self) -> None:
        if self.headers["Authorization"] == f"Bearer {KEY}":
            self.answer(200, CONFIG)
        else:
            self.answer(401, b'{"error": "unauthorized", "message": "no such key", "request_id": null}')

    def post(self) -> None:
        self.asked()
        self.answer(200, chunk([[0.0] * 7] * 50, latency_ms=14.2))


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as made:
        yield made


def reflex_check(*arguments: str, key: str = KEY) -> Any:
    return CliRunner().invoke(app, ["check", *arguments], env={"REFLEX_API_KEY": key})


def test_a_server_that_answers_has_passed(server: Server) -> None:
    result = reflex_check(server.url)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"passed: {server.url} answers /act: 50 x 7 finite values of demo, in 14.2 ms\n"


def test_json_is_the_answer_itself(server: Server) -> None:
    assert json.loads(reflex_check(server.url, "--json").stdout)["num_actions"] == 50


def test_a_server_that_wants_another_key_says_where_it_goes(server: Server) -> None:
    result = reflex_check(server.url, key=new_key())

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no such key" in result.stderr
    assert "REFLEX_API_KEY" in result.stderr


def test_where_nobody_listens_it_fails_with_a_sentence() -> None:
    result = reflex_check("http://127.0.0.1:9")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("reflex: ")
    assert "http://127.0.0.1:9" in result.stderr
