from __future__ import annotations

import inspect
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

import reflex.client
from reflex.api_keys import new_key
from reflex.client import AsyncReflexClient, Episode, MockTransport, ReflexClient, chunk
from reflex.errors import (
    ClientTimeoutError,
    DeadlineExceededError,
    InferenceError,
    InvalidRequestError,
    RateLimitedError,
    SetupError,
    TransportError,
    UnauthorizedError,
    UnavailableError,
    service_error,
)
from reflex.wire import DEADLINE_HEADER
from support.promise import Promise
from support.waiting import HANGS_S, let_pass

STATE = [0.1, 0.2, 0.0, 0.0, 0.0, 0.0]
CHUNK = chunk([[0.5] * 7] * 50)


def bodies(transport: MockTransport) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in transport.requests]


def test_the_documented_example_works_as_it_stands() -> None:
    numpy_frame = np.zeros((224, 224, 3), np.uint8)
    with ReflexClient("http://localhost:8000", transport=MockTransport([CHUNK])) as client, client.episode() as ep:
        result = ep.act(image=numpy_frame, state=STATE)
    assert result["actions"] == [[0.5] * 7] * 50


def test_a_request_carries_every_argument_under_its_contract_name(connect: Any) -> None:
    transport = MockTransport([CHUNK])
    png = b"\x89PNG\r\n\x1a\n..."
    connect(script=transport).act(
        state=np.array(STATE, np.float64), instruction="fold", images={"wrist": png}, seed=3, request_id="r-1"
    )
    (body,) = bodies(transport)
    assert body == {
        "instruction": "fold", "state": STATE, "images": {"wrist": "iVBORw0KGgouLi4="}, "seed": 3, "request_id": "r-1",
    }  # fmt: skip


def test_an_episode_sends_its_id_and_its_instruction_unless_the_call_has_one(connect: Any) -> None:
    transport = MockTransport([CHUNK])
    client = connect(script=transport)
    client.act_in_episode("e-1", "pick up the cup", state=STATE)
    client.act_in_episode("e-1", "pick up the cup", state=STATE, instruction="put it down")
    client.act_in_episode(None, None, state=STATE)
    first, second, third = bodies(transport)
    assert (first["episode_id"], first["instruction"]) == ("e-1", "pick up the cup")
    assert (second["episode_id"], second["instruction"]) == ("e-1", "put it down")
    assert uuid.UUID(third["episode_id"]).version == 4
    assert third["instruction"] == ""


def test_each_call_has_its_own_request_id(connect: Any) -> None:
    transport = MockTransport([CHUNK])
    client = connect(script=transport)
    client.act(state=STATE)
    client.act(state=STATE)
    first, second = (uuid.UUID(body["request_id"]) for body in bodies(transport))
    assert first != second


@pytest.mark.parametrize("code", ["queue_full", "rate_limited"])
def test_retry_after_is_waited_out_and_the_same_request_id_sent_again(connect: Any, code: str) -> None:
    transport = MockTransport([service_error(code, "later", retry_after_s=0.05), CHUNK])
    began = time.monotonic()
    result = connect(script=transport, deadline_s=HANGS_S).act(state=STATE)
    assert time.monotonic() - began >= 0.05
    first, second = bodies(transport)
    assert first == second
    assert result["request_id"] == first["request_id"]


def test_a_retry_tells_the_server_only_what_remains_of_the_deadline(connect: Any) -> None:
    transport = MockTransport([service_error("queue_full", "later", retry_after_s=0.1), CHUNK])
    began = time.monotonic()
    connect(script=transport, deadline_s=9).act(state=STATE)
    took_ms = 1000 * (time.monotonic() - began)
    first, second = (int(request.headers[DEADLINE_HEADER]) for request in transport.requests)
    assert 9000 - took_ms - 1 <= first <= 9000
    assert second <= first - 100


def test_the_server_is_never_told_more_than_its_ceiling(connect: Any) -> None:
    transport = MockTransport([CHUNK])
    connect(script=transport).act(state=STATE, deadline_s=60)
    assert transport.requests[0].headers[DEADLINE_HEADER] == "10000"


def test_a_wait_beyond_the_deadline_is_refused_at_once(connect: Any, promise: Promise) -> None:
    transport = MockTransport([service_error("warming_up", "loading", retry_after_s=5)])
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        connect(script=transport, deadline_s=4).act(state=STATE)
    promise("a wait beyond the client's deadline is refused at once", time.monotonic() - began, at_most=2)
    assert caught.value.retry_after_s == 5
    assert len(transport.requests) == 1


def test_a_server_that_always_says_retry_now_is_not_hammered(connect: Any) -> None:
    transport = MockTransport([service_error("queue_full", "full", retry_after_s=0)])
    with pytest.raises((UnavailableError, ClientTimeoutError)):
        connect(script=transport, deadline_s=1.0).act(state=STATE)
    assert 1 <= len(transport.requests) <= 101


def test_retry_after_from_another_server_is_read_from_its_header(connect: Any) -> None:
    def busy_then_served(request: httpx.Request) -> httpx.Response:
        if len(seen) == 0:
            seen.append(request)
            return httpx.Response(503, headers={"retry-after": "0.05"}, text="busy")
        return httpx.Response(200, json=CHUNK)

    seen: list[httpx.Request] = []
    client = connect(script=httpx.MockTransport(busy_then_served), deadline_s=HANGS_S)
    assert client.act(state=STATE)["actions"] == CHUNK["actions"]


def test_a_503_without_retry_after_is_not_retried(connect: Any) -> None:
    transport = MockTransport([service_error("draining", "going away"), CHUNK])
    with pytest.raises(UnavailableError):
        connect(script=transport).act(state=STATE)


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("invalid_image", InvalidRequestError, 400),
        ("unauthorized", UnauthorizedError, 401),
        ("state_dim_mismatch", InvalidRequestError, 422),
        ("rate_limited", RateLimitedError, 429),
        ("non_finite_action", InferenceError, 500),
        ("deadline_exceeded", DeadlineExceededError, 504),
    ],
)
def test_an_error_answer_becomes_its_typed_error_and_is_sent_once(
    connect: Any, code: str, kind: type[Exception], status: int
) -> None:
    transport = MockTransport([service_error(code, "do this", context={"expected": 6}), CHUNK])
    with pytest.raises(kind) as caught:
        connect(script=transport).act(state=STATE, request_id="r-9")
    error: Any = caught.value
    assert (error.code, error.status, error.message, error.request_id) == (code, status, "do this", "r-9")
    assert error.context == {"expected": 6}
    assert len(transport.requests) == 1


def test_a_broken_connection_is_retried_once_with_the_same_request(connect: Any) -> None:
    transport = MockTransport([TransportError("reset"), CHUNK])
    connect(script=transport).act(state=STATE)
    first, second = bodies(transport)
    assert first == second


def test_a_connection_that_breaks_twice_is_an_error(connect: Any) -> None:
    transport = MockTransport([TransportError("reset"), TransportError("reset"), CHUNK])
    with pytest.raises(TransportError, match="broke before the whole answer"):
        connect(script=transport).act(state=STATE)


def test_a_timeout_is_never_retried(connect: Any) -> None:
    transport = MockTransport([ClientTimeoutError("silent"), CHUNK])
    with pytest.raises(ClientTimeoutError, match=r"no answer to POST /act within 1000 ms"):
        connect(script=transport).act(state=STATE)


def test_a_chunk_that_arrives_after_the_deadline_is_dropped(connect: Any) -> None:
    def late(_request: httpx.Request) -> Any:
        let_pass(0.06)
        return CHUNK

    with pytest.raises(ClientTimeoutError):
        connect(script=late, deadline_s=0.05).act(state=STATE)


def test_an_answer_to_another_request_is_dropped(connect: Any) -> None:
    with pytest.raises(TransportError, match="belongs to another request"):
        connect(script=[{**CHUNK, "request_id": "someone-else"}]).act(state=STATE)


def test_health_of_a_server_that_warms_is_a_report_and_not_an_error(connect: Any) -> None:
    report = {"status": "warming", "reason": "loading demo_encoder"}
    assert connect(script=[report]).health() == report


def test_health_behind_a_broken_proxy_is_an_error(connect: Any) -> None:
    with pytest.raises(UnavailableError):
        connect(script=[service_error("queue_full", "full", retry_after_s=0.01)]).health()


def test_metrics_are_the_servers_own_text(connect: Any) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=f"of {request.url.path} 1\n"))
    assert connect(script=transport).metrics() == "of /metrics 1\n"


def test_config_waits_for_a_server_that_warms(connect: Any) -> None:
    script = [service_error("warming_up", "loading", retry_after_s=0.02), {"policy_id": "demo", "state_dim": 6}]
    assert connect(script=script).config()["state_dim"] == 6


@pytest.mark.parametrize("state", [[0.0, float("nan")], [float("inf")], ["left"], 3.0, [[0.0]]])
def test_a_state_that_no_server_would_take_is_refused_before_it_is_sent(connect: Any, state: Any) -> None:
    transport = MockTransport([CHUNK])
    with pytest.raises(InvalidRequestError):
        connect(script=transport).act(state=state)
    assert transport.requests == []


def test_one_image_and_named_images_together_are_refused(connect: Any) -> None:
    png = b"\x89PNG\r\n\x1a\n"
    with pytest.raises(InvalidRequestError, match="not both"):
        connect(script=[CHUNK]).act(state=STATE, image=png, images={"wrist": png})


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://robot", "http://", ""])
def test_an_url_that_is_no_server_is_refused_with_an_example(connect: Any, url: str) -> None:
    with pytest.raises(SetupError, match="http://localhost:8000"):
        connect(url)


@pytest.mark.parametrize("deadline_s", [0, -1, float("nan")])
def test_a_deadline_that_nothing_can_meet_is_refused(connect: Any, deadline_s: float) -> None:
    with pytest.raises(SetupError):
        connect(deadline_s=deadline_s)
    with pytest.raises(SetupError):
        connect(script=[CHUNK]).act(state=STATE, deadline_s=deadline_s)


def test_headers_of_the_caller_go_with_every_request(connect: Any) -> None:
    transport = MockTransport([{"status": "ready"}])
    connect(script=transport, headers={"Authorization": "Bearer k"}).health()
    assert transport.requests[0].headers["Authorization"] == "Bearer k"


def test_both_clients_offer_the_same_calls_with_the_same_arguments() -> None:
    for name in ("act", "episode", "health", "config", "close", "__init__"):
        blocking = inspect.signature(getattr(ReflexClient, name)).parameters
        awaited = inspect.signature(getattr(AsyncReflexClient, name)).parameters
        assert list(blocking) == list(awaited), name
    assert Episode.act is ReflexClient.act


def test_every_exported_name_exists() -> None:
    assert all(hasattr(reflex.client, name) for name in reflex.client.__all__)


def test_a_key_goes_with_every_request_and_an_episode_in_a_header(connect: Any) -> None:
    key, transport = new_key(), MockTransport([CHUNK])
    client = connect(script=transport, api_key=key)
    client.act_in_episode("tasse-ä", None, state=STATE)
    client.act(state=STATE)
    first, second = transport.requests
    assert first.headers["authorization"] == second.headers["authorization"] == f"Bearer {key}"
    assert first.headers["x-reflex-episode"] == "tasse-%C3%A4"
    assert "x-reflex-episode" not in second.headers


def test_a_sessions_credential_goes_where_a_key_goes(connect: Any) -> None:
    transport = MockTransport([CHUNK])
    connect(script=transport, api_key="rfx_sess_e30.AA-_").act(state=STATE)
    assert transport.requests[0].headers["authorization"] == "Bearer rfx_sess_e30.AA-_"


def test_a_key_that_is_renewed_is_asked_for_before_every_request_a_retry_too(connect: Any) -> None:
    keys = [new_key() for _ in range(3)]
    transport = MockTransport([TransportError("broken"), CHUNK, CHUNK])
    left = iter(keys)
    client = connect(script=transport, api_key=lambda: next(left))
    client.act(state=STATE)
    client.act(state=STATE)
    assert [request.headers["authorization"] for request in transport.requests] == [f"Bearer {key}" for key in keys]


def test_a_renewed_key_that_is_none_is_refused_before_anything_is_sent(connect: Any) -> None:
    transport = MockTransport([CHUNK])
    with pytest.raises(SetupError, match="copy it whole"):
        connect(script=transport, api_key=lambda: "rfx_").act(state=STATE)
    assert not transport.requests


@pytest.mark.parametrize("cut", ["rfx_sess_", "rfx_sess_e30", "rfx_sess_e30.AA\n", "rfx_sess_e30.A A", "rfx_sess_é.AA"])
def test_a_credential_that_is_cut_or_no_header_is_refused(connect: Any, cut: str) -> None:
    with pytest.raises(SetupError, match="copy it whole"):
        connect(script=MockTransport([CHUNK]), api_key=cut)


def test_what_is_no_key_is_refused_before_anything_is_sent_and_not_repeated(connect: Any) -> None:
    cut = new_key()[:-1]
    with pytest.raises(SetupError, match="copy it whole") as caught:
        connect(script=MockTransport([CHUNK]), api_key=cut)
    assert cut not in str(caught.value)


class Dripping(httpx.BaseTransport):
    """A transport that its user wrote, without any limit on time: an answer comes byte for byte."""

    def handle_request(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=DrippingBody())


class DrippingBody(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" "


def test_an_answer_that_drips_ends_at_the_deadline_whatever_transport_brings_it() -> None:
    with ReflexClient(transport=Dripping(), deadline_s=0.05) as client, pytest.raises(ClientTimeoutError):
        client.act(state=STATE)
