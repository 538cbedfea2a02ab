"""What a stream is told, and what it refuses at once."""

from __future__ import annotations

import inspect
from typing import Any, cast

import pytest

import reflex
from reflex.api_keys import new_key
from reflex.client.streaming.options import StreamOptions, check_ready
from reflex.client.streaming.stream import Streaming
from reflex.errors import SetupError
from reflex.wire.stream import ReadyFrame
from support.streams.scripted import READY

NAMES = ["prompt", "url", "api_key", "model", "robot", "action_adapter", "cameras", "hz", "chunk_size", "session_id",
         "timeout", "connect_retry_seconds"]  # fmt: skip


def options(**given: Any) -> StreamOptions:
    return Streaming(prompt="pick", **given)._options


@pytest.mark.parametrize("kind", [reflex.ActionStream, reflex.AsyncActionStream])
def test_the_keywords_have_the_names_and_defaults_of_the_sdk(kind: type[Streaming]) -> None:
    parameters = inspect.signature(kind).parameters

    assert list(parameters)[: len(NAMES)] == NAMES
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())
    assert (parameters["session_id"].default, parameters["timeout"].default) == ("", 30.0)


@pytest.mark.parametrize(
    ("url", "websocket_url", "address"),
    [
        (None, "ws://localhost:8000/act/stream", ("localhost", 8000)),
        ("http://gpu-box:9000/", "ws://gpu-box:9000/act/stream", ("gpu-box", 9000)),
        ("https://robots.example/site", "wss://robots.example/site/act/stream", ("robots.example", 443)),
        ("ws://[::1]:8000", "ws://[::1]:8000/act/stream", ("::1", 8000)),
        ("wss://gpu-box", "wss://gpu-box/act/stream", ("gpu-box", 443)),
    ],
)
def test_the_url_is_that_of_the_server(url: str | None, websocket_url: str, address: tuple[str, int]) -> None:
    made = options(url=url)

    assert made.websocket_url == websocket_url
    assert (made.host, made.port) == address


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "http://gpu-box/act/stream"}, "without /act/stream"),
        ({"url": "gpu-box:8000"}, "no server"),
        ({"api_key": "rfx_cut"}, "no key of Reflex"),
        ({"cameras": "wrist"}, "list of names"),
        ({"hz": 0}, "hz is 0"),
        ({"chunk_size": 0}, "at least 1"),
        ({"chunk_size": 2.5}, "whole number"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"deadline_s": 11}, "10 s at most"),
        ({"deadline_s": 0}, "above 0"),
        ({"connect_retry_seconds": -1}, "connect_retry_seconds is -1"),
        ({"session_id": "a\nb"}, "printable"),
    ],
)
def test_what_cannot_be_is_refused_when_the_stream_is_made(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SetupError, match=told):
        options(**given)


def test_the_bound_of_retries_is_the_argument_then_the_environment_then_90_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert options().connect_retry_s == 90.0
    monkeypatch.setenv("REFLEX_CONNECT_RETRY_SECONDS", "2.5")
    assert options().connect_retry_s == 2.5
    assert options(connect_retry_seconds=0).connect_retry_s == 0.0
    monkeypatch.setenv("REFLEX_CONNECT_RETRY_SECONDS", "soon")
    with pytest.raises(SetupError, match="REFLEX_CONNECT_RETRY_SECONDS is 'soon'"):
        options()


def test_every_stream_is_an_episode_of_its_own_unless_it_goes_on_with_one() -> None:
    assert options().episode_id != options().episode_id
    assert options(session_id="run-7").hello()["episode_id"] == "run-7"


def test_a_key_is_asked_for_at_every_handshake_and_shown_nowhere() -> None:
    keys = [new_key(), new_key()]
    made = options(api_key=lambda: keys[0])

    assert made.handshake_headers(made.key_now())["Authorization"] == f"Bearer {keys[0]}"
    assert made.renewal(keys[0]) is None
    old = keys.pop(0)
    assert made.renewal(old) == {**made.hello(), "api_key": keys[0]}
    assert options(api_key=keys[0]).renewal(keys[0]) is options().renewal(None) is None
    assert keys[0] not in repr(options(api_key=keys[0]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "place"}, "the server at .* has pick@"),
        ({"robot": "so101"}, "moves a franka"),
        ({"cameras": ["base", "head"]}, "has no head; it knows base, wrist"),
        ({"cameras": {"mine": "top"}}, "has no top"),
        ({"hz": 30}, "made for 50 Hz"),
        ({"chunk_size": 5}, "has 4"),
    ],
)
def test_another_server_than_the_one_that_was_meant_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SetupError, match=told):
        check_ready(options(**given), cast("ReadyFrame", READY))


def test_the_server_that_was_meant_is_taken() -> None:
    for model in ("pick", "pick@0123456789ab"):
        made = options(model=model, robot="franka", cameras={"mine": "wrist"}, hz=50, chunk_size=4)
        check_ready(made, cast("ReadyFrame", READY))
