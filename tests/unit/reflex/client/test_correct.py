from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from reflex.client import AsyncReflexClient, MockTransport, ReflexClient, chunk
from reflex.errors import InvalidRequestError, TransportError

ANSWER = {**chunk([[0.5, 0.25]] * 2), "a2c2_applied": True, "a2c2_correction_magnitude": 0.02}
REST = [[0.0, 0.0], [0.1, 0.1]]


def sent(transport: MockTransport) -> dict[str, Any]:
    request = transport.requests[-1]
    assert (request.method, request.url.path) == ("POST", "/act/correct")
    body: dict[str, Any] = json.loads(request.content)
    return body


def test_the_rest_of_a_chunk_is_sent_and_comes_back_corrected() -> None:
    transport = MockTransport([ANSWER])
    with ReflexClient(transport=transport) as client:
        answer = client.correct(state=[0.1], actions=REST, position=3, request_id="r")

        assert answer["actions"] == [[0.5, 0.25]] * 2
        assert answer["a2c2_applied"] is True
        assert sent(transport) == {"state": [0.1], "actions": REST, "position": 3, "request_id": "r"}
        with client.episode("e") as episode:
            episode.correct(state=[0.1], actions=REST)
    assert sent(transport)["episode_id"] == "e"
    assert "position" not in sent(transport)


def test_the_asyncio_client_does_the_same() -> None:
    transport = MockTransport([ANSWER])

    async def scenario() -> None:
        async with AsyncReflexClient(transport=transport) as client:
            assert (await client.correct(state=[0.1], actions=REST))["a2c2_applied"] is True
            async with client.episode("e") as episode:
                await episode.correct(state=[0.1], actions=REST)

    asyncio.run(scenario())
    assert sent(transport)["episode_id"] == "e"


def test_an_answer_with_other_than_the_sent_actions_is_dropped() -> None:
    with ReflexClient(transport=MockTransport([ANSWER])) as client, pytest.raises(TransportError, match="3 actions"):
        client.correct(state=[0.1], actions=[*REST, [0.2, 0.2]])


@pytest.mark.parametrize("changes", [{"actions": [[float("nan")]]}, {"actions": 1}, {"state": "x"}, {"position": 1.5}])
def test_what_is_no_rest_is_refused_before_it_is_sent(changes: dict[str, Any]) -> None:
    transport = MockTransport([ANSWER])
    with ReflexClient(transport=transport) as client, pytest.raises(InvalidRequestError):
        client.correct(**{"state": [0.1], "actions": REST, **changes})
    assert transport.requests == []
