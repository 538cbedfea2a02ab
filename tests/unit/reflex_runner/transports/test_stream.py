"""`stream`: each observation gets its own answer or an error, over a connection that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

from reflex.errors import InvalidRequestError, TransportError
from reflex_runner.transports.build import build_transport
from reflex_runner.transports.transport import Transport
from support.runner.asked import observation, target
from support.streams.scripted import ScriptedServer, chunk_frame, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as made:
        yield made


@pytest.fixture
def transport(server: ScriptedServer) -> Iterator[Transport]:
    made = build_transport("stream", target(server.url), instruction="pick")
    yield made
    made.close()


def test_an_answer_is_dated_by_its_observation(server: ScriptedServer, transport: Transport) -> None:
    transport.open()
    assert transport.control_hz == 50
    dated = transport.ask(8, observation(5.0), executed_steps=2)
    assert (dated.seq, dated.captured_s, dated.step_s, dated.actions.shape) == (8, 5.0, 1 / 50, (4, 7))
    transport.ask(9, observation(task="place"), executed_steps=None)
    first, second = server.observations
    assert (first["instruction"], first["executed_steps"], first["images"]["image"][:2]) == ("pick", 2, b"\xff\xd8")
    assert (second["instruction"], "executed_steps" in second) == ("place", False)


def test_an_error_of_the_observation_is_raised_and_the_next_one_is_answered(
    server: ScriptedServer, transport: Transport
) -> None:
    error = {"type": "error", "error": "state_dim_mismatch", "message": "six", "status": 422, "request_id": "r"}
    server.answer = lambda frame: [{**error, "seq": frame["seq"]}] if frame["seq"] == 1 else [chunk_frame(frame["seq"])]
    transport.open()
    with pytest.raises(InvalidRequestError, match="six"):
        transport.ask(0, observation(), executed_steps=None)
    assert transport.ask(1, observation(), executed_steps=None).seq == 1


class LateStream:
    """The answer to an observation that was given up comes when the next one is waited for."""

    ready: Final = {"control_hz": 50.0}

    def __init__(self) -> None:
        self.answers = [{"seq": seq, "actions": np.full((4, 7), seq, np.float32)} for seq in (6, 7)]

    def send_observation(self, **_: Any) -> int:
        return 7

    def recv_action(self, _timeout: float) -> dict[str, Any]:
        return self.answers.pop(0)

    def close(self) -> None:
        """Nothing is open."""


def test_an_answer_to_an_earlier_observation_is_passed_over(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_stream", LateStream())
    assert transport.ask(0, observation(), executed_steps=None).actions[0, 0] == 7


def test_a_lost_connection_is_an_error_once_and_then_opened_again(server: ScriptedServer, transport: Transport) -> None:
    server.answer = lambda frame: [None] if frame["seq"] == 1 else [chunk_frame(frame["seq"])]
    transport.open()
    with pytest.raises(TransportError):
        transport.ask(0, observation(), executed_steps=None)
    assert transport.ask(1, observation(), executed_steps=None).seq == 1
