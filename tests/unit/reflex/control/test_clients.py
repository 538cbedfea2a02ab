"""Both clients of the control plane: what they send, what they send again, and what they refuse."""

from __future__ import annotations

import inspect
import json
import logging
import uuid

import httpx
import pytest

from reflex.client import MockTransport
from reflex.control import AsyncControlClient, ControlClient, asks, training_asks
from reflex.errors import ClientTimeoutError, InvalidRequestError, SetupError, TransportError, service_error
from support.waiting import HANGS_S
from unit.reflex.control.conftest import KEY, URL, Connect

BROKEN = TransportError("the connection broke")
DEPLOYMENT = {"id": "deploy_1", "name": "kitchen"}


def sent_keys(transport: MockTransport) -> list[str | None]:
    return [request.headers.get("Idempotency-Key") for request in transport.requests]


def test_a_create_is_a_post_of_what_was_given_in_the_names_of_the_wire(connect: Connect) -> None:
    transport = MockTransport([DEPLOYMENT])
    made = connect(transport).create_deployment(name="kitchen", model_id="model_1", runtime="http://gpu:8000")
    (request,) = transport.requests

    assert made == DEPLOYMENT
    assert (request.method, str(request.url)) == ("POST", f"{URL}/v1/deployments")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "name": "kitchen", "modelId": "model_1", "runtime": {"actUrl": "http://gpu:8000"}, "mode": "dry_run",
    }  # fmt: skip


@pytest.mark.parametrize("trouble", [BROKEN, service_error("queue_full", "later", retry_after_s=0),
                                     service_error("rate_limited", "later", retry_after_s=0)])  # fmt: skip
def test_a_create_is_repeated_under_the_same_idempotency_key(connect: Connect, trouble: Exception) -> None:
    transport = MockTransport([trouble, DEPLOYMENT])  # type: ignore[list-item]

    assert connect(transport).create_deployment(name="a", model_id="model_1") == DEPLOYMENT
    first, second = sent_keys(transport)
    assert first == second
    assert uuid.UUID(first).version == 4


def test_every_create_has_a_key_of_its_own(connect: Connect) -> None:
    transport = MockTransport([DEPLOYMENT])
    client = connect(transport)
    for _ in range(2):
        client.create_deployment(name="a", model_id="model_1")

    assert len(set(sent_keys(transport))) == 2


def test_what_makes_nothing_has_none(connect: Connect) -> None:
    transport = MockTransport([{"deployments": [], "id": "sess_1"}])
    client = connect(transport)
    client.list_deployments()
    client.close_session("sess_1")

    assert sent_keys(transport) == [None, None]


@pytest.mark.parametrize("call", ["promote_session", "report_safe_stop"])
def test_what_counts_each_time_is_not_sent_again_when_the_connection_breaks(connect: Connect, call: str) -> None:
    transport = MockTransport([BROKEN, {"id": "sess_1"}])
    arguments = {"reason": "stuck"} if call == "report_safe_stop" else {}

    with pytest.raises(TransportError):
        getattr(connect(transport), call)("sess_1", **arguments)
    assert len(transport.requests) == 1


def test_without_a_key_nothing_is_sent_and_the_two_ways_to_one_are_named(connect: Connect) -> None:
    transport = MockTransport([{}])

    with pytest.raises(SetupError) as missing:
        connect(transport, api_key=None).list_robots()
    assert str(missing.value) == "API key is required. Run 'reflex login' or set REFLEX_API_KEY."
    assert transport.requests == []


def test_a_pairing_token_needs_no_key_and_travels_in_the_body_alone(connect: Connect) -> None:
    transport = MockTransport([{"key": "rfx_x"}])
    connect(transport, api_key=None).claim_pairing_token("rfx_pair_secret")
    (request,) = transport.requests

    assert "Authorization" not in request.headers
    assert "secret" not in str(request.url)
    assert json.loads(request.content) == {"token": "rfx_pair_secret"}


def test_a_filter_is_a_query(connect: Connect) -> None:
    transport = MockTransport([{"receipts": [], "nextAfter": None}])
    connect(transport).list_receipts(deployment_id="deploy_1", after=7)

    assert str(transport.requests[0].url) == f"{URL}/v1/receipts?deploymentId=deploy_1&after=7"


@pytest.mark.parametrize("given", ["", "..", "a/b", "deploy_1?x=1", "ä", "%2e", "a" * 200, None, 7])
def test_what_is_no_id_asks_for_nothing(connect: Connect, given: object) -> None:
    transport = MockTransport([DEPLOYMENT])

    with pytest.raises(InvalidRequestError, match="is no id"):
        connect(transport).get_deployment(given)
    assert transport.requests == []


@pytest.mark.parametrize("spec", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_what_json_cannot_hold_is_refused_before_it_is_sent(connect: Connect, spec: object) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be sent as JSON"):
        connect([DEPLOYMENT]).create_deployment(name="a", model_id="model_1", spec=spec)


@pytest.mark.parametrize("runtime", [["http://a:1", "http://b:1"], {"act_url": ["http://a:1", "http://b:1"]}])
def test_a_runtime_may_have_several_frontends(connect: Connect, runtime: object) -> None:
    transport = MockTransport([DEPLOYMENT])
    connect(transport).create_deployment(name="a", model_id="model_1", runtime=runtime)

    assert json.loads(transport.requests[0].content)["runtime"] == {"actUrl": ["http://a:1", "http://b:1"]}


def test_taking_over_says_why(connect: Connect) -> None:
    transport = MockTransport([{"sessionId": "sess_1"}])
    connect(transport).authorize_session(robot_id="robot_1", take_over="shift change", max_seconds=60)

    assert json.loads(transport.requests[0].content) == {
        "robotId": "robot_1", "baseModel": "pi0.5", "mode": "dry_run", "maxSeconds": 60,
        "takeOver": {"reason": "shift change"},
    }  # fmt: skip


def test_a_heartbeat_says_what_it_was_given_and_no_more(connect: Connect) -> None:
    transport = MockTransport([{"robotId": "robot_1"}])
    connect(transport).heartbeat_robot("robot_1", session_id="sess_1", applied_steps=0, latency_ms=4.5)

    assert str(transport.requests[0].url) == f"{URL}/v1/robots/robot_1/heartbeat"
    assert json.loads(transport.requests[0].content) == {"sessionId": "sess_1", "appliedSteps": 0, "latencyMs": 4.5}


def test_an_export_may_be_longer_than_any_other_answer(connect: Connect) -> None:
    lines = b'{"kind": "header"}\n' * 600_000
    transport = MockTransport([{}])
    transport.handler = lambda _request: httpx.Response(200, content=lines)

    assert connect(transport).export_receipts() == lines


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"deployment": []}'])
def test_an_answer_of_something_else_is_no_control_plane(connect: Connect, answer: bytes) -> None:
    transport = MockTransport([{}])
    transport.handler = lambda _request: httpx.Response(200, content=answer)

    with pytest.raises(TransportError, match=r"^Cannot reach the Reflex backend at http://control:8100"):
        connect(transport).list_deployments()


@pytest.mark.parametrize("error", [BROKEN, ClientTimeoutError("late")])
def test_a_backend_that_does_not_answer_is_named_with_what_to_change(connect: Connect, error: TransportError) -> None:
    with pytest.raises(TransportError) as gone:
        connect([error], deadline_s=3).whoami()

    assert str(gone.value).startswith(f"Cannot reach the Reflex backend at {URL}: ")
    assert "unset or fix --convex-url / REFLEX_CONVEX_URL" in str(gone.value)


def test_one_that_says_later_until_the_end_is_told_by_what_it_said(connect: Connect) -> None:
    waiting = service_error("rate_limited", "slower", retry_after_s=10 * HANGS_S)

    with pytest.raises(type(waiting), match="slower"):
        connect([waiting], deadline_s=HANGS_S).whoami()


@pytest.mark.parametrize("url", [f"{URL}/v1", "control:8100", "ftp://control"])
def test_what_is_no_address_of_a_control_plane_is_said(connect: Connect, url: str) -> None:
    with pytest.raises(SetupError):
        connect([{}], url=url)


@pytest.mark.parametrize("key", ["", "rfx_ä", "rfx a", "rfx_a\n"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(connect: Connect, key: str) -> None:
    with pytest.raises(SetupError, match=r"^API key is required") as refused:
        connect([{}], api_key=key)
    assert "rfx" not in str(refused.value)


def test_the_log_tells_the_way_of_a_request_and_no_secret(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "reflex")
    client = connect([{"key": "rfx_new"}])
    client.rotate_key("key_1")
    client.claim_pairing_token("rfx_pair_token")

    assert "POST http://control:8100/v1/keys/key_1/rotate" in caplog.text
    assert not any(secret in caplog.text for secret in (KEY, "rfx_new", "rfx_pair_token"))


@pytest.mark.parametrize("client", [ControlClient, AsyncControlClient])
def test_each_operation_is_a_method_of_both_with_its_own_arguments_and_words(client: type) -> None:
    operations = {name: getattr(module, name) for module in (asks, training_asks) for name in module.__all__}
    for name, operation in operations.items():
        method = getattr(client, name)
        _self, *parameters = inspect.signature(method).parameters.values()
        assert parameters == list(inspect.signature(operation).parameters.values())
        assert (method.__name__, method.__doc__) == (name, operation.__doc__)
