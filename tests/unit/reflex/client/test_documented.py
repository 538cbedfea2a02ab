"""Runs every Python example of docs/client.md against a server that answers on a real socket."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from reflex.client import chunk
from reflex.embodiments import load_embodiment
from reflex.wire import EMBODIMENT_FIELD
from support.outside.answering import Answering, running
from support.streams.scripted import scripted_server

DOCUMENT = Path(__file__).parents[4] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


class Resting(Answering):
    def post(self) -> None:
        self.asked()
        self.answer(200, chunk([[0.0] * 7] * 50))

    def get(self) -> None:
        self.answer(
            200, {"status": "ready", "state_dim": 6, EMBODIMENT_FIELD: dataclasses.asdict(load_embodiment("franka"))}
        )


@pytest.fixture
def url() -> Iterator[str]:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), Resting)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def stream_url() -> Iterator[str]:
    with scripted_server() as server:
        yield server.url


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example-{number}" for number in range(1, len(EXAMPLES) + 1)])
def test_an_example_of_the_documentation_runs(
    example: str, url: str, stream_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = stream_url if "ActionStream" in example else url
    exec(compile(example.replace("http://localhost:8000", address), str(DOCUMENT), "exec"), {})
    assert "hold:" not in capsys.readouterr().out


def test_there_are_examples_to_run() -> None:
    assert len(EXAMPLES) >= 5
