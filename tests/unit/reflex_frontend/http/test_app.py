"""The routes over ASGI, without sockets: statuses, headers, and one envelope for everything that is no 200."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from reflex_frontend.act.act import ActService
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.http.endpoint import ActEndpoint
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service, chunk, outputs, policy_config

ACT = {"instruction": "pick", "state": [0.1] * 6}
NO_CAMERA_NEEDED = policy_config(cameras={"base": False})
Scenario = Callable[[httpx.AsyncClient, ActService], Coroutine[Any, Any, None]]


def routes(scenario: Scenario, triton: FakeTriton | None = None, **settings: Any) -> None:
    async def main() -> None:
        service = act_service(triton or FakeTriton(), time.monotonic, config=NO_CAMERA_NEEDED)
        app = build_app(Server(service, Settings.load(settings)))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://robot") as client:
            await scenario(client, service)

    asyncio.run(main())


def assert_envelope(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["error"] == code
    assert body["message"]
    assert body["request_id"]
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    "path",
    ["/nope", "/docs/oauth2-redirect", "/page/", "/page/../app.py", "/act/", "/act/x", "/health/x", "/%00", "/..%2f"],
)
def test_an_unknown_route_is_404_with_the_envelope(path: str) -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        assert_envelope(await client.get(path, follow_redirects=False), 404, "not_found")

    routes(scenario)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/act", "POST"), ("PUT", "/act", "POST"), ("POST", "/health", "GET"), ("DELETE", "/config", "GET")],
)
def test_another_method_is_405_with_the_envelope_and_what_is_allowed(method: str, path: str, allowed: str) -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        response = await client.request(method, path)
        assert_envelope(response, 405, "method_not_allowed")
        assert allowed in response.headers["allow"]

    routes(scenario)


def test_a_good_request_is_answered_and_counted() -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        response = await client.post("/act", json=ACT)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert len(response.json()["actions"]) == 4
        assert 'reflex_act_total{embodiment="franka",status="200"} 1.0' in (await client.get("/metrics")).text

    routes(scenario)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 200),
        ({"content-type": "Application/JSON; charset=UTF-8"}, 200),
        ({"content-type": 'application/json; charset="utf-8"'}, 200),
        ({"content-type": "application/vnd.robot+json"}, 200),
        ({"content-encoding": "identity"}, 200),
        ({}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": ""}, 415),
        ({"content-encoding": "gzip"}, 415),
    ],
)
def test_only_plain_utf_8_json_is_read(headers: dict[str, str], status: int) -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        response = await client.post("/act", content=json.dumps(ACT), headers=headers)
        assert response.status_code == status
        if status == 415:
            assert_envelope(response, 415, "unsupported_media_type")

    routes(scenario)


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_body_over_8_mib_is_413_whether_declared_or_not(is_declared: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (1 << 20)

    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        content: Any = b" " * (9 << 20) if is_declared else pieces()
        response = await client.post("/act", content=content)
        assert_envelope(response, 413, "payload_too_large")
        assert response.json()["limit"] == 8 << 20

    routes(scenario)


def test_a_bug_is_500_with_the_envelope_and_without_a_word_of_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> Any:
        raise RuntimeError("secret /path")

    async def scenario(client: httpx.AsyncClient, service: ActService) -> None:
        response = await client.post("/act", json=ACT)
        assert_envelope(response, 500, "internal")
        assert "secret" not in response.text
        assert service.router.first.loaded.admission.in_flight == 0

    routes(scenario, FakeTriton(broken))
    assert "secret" in caplog.text


def test_an_action_that_is_not_finite_never_leaves() -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        assert_envelope(await client.post("/act", json=ACT), 500, "non_finite_action")

    routes(scenario, FakeTriton(outputs(chunk(float("nan")))))


def test_health_tells_each_phase() -> None:
    async def scenario(client: httpx.AsyncClient, service: ActService) -> None:
        ready = await client.get("/health")
        assert ready.status_code == 200
        assert ready.json() | {"uptime_seconds": 0, "time": ""} == {
            "status": "ready",
            "model_loaded": True,
            "model_version": "small@abababababab",
            "policy_hash": "sha256:" + "ab" * 32,
            "guard_active": True,
            "time": "",
            "inference_mode": "onnx_cpu",
            "uptime_seconds": 0,
            "robot_id": "arm-7",
            "cuda_graphs_active": False,
        }
        service.router.first.loaded.vitals.breaker.open("Triton does not answer")
        degraded = await client.get("/health")
        assert (degraded.status_code, degraded.json()["status"]) == (503, "degraded")
        assert degraded.json()["reason"] == "Triton does not answer"
        assert degraded.headers["retry-after"] == "1"
        service.router.first.loaded.vitals.warming_reason = "starting"
        warming = await client.get("/health")
        assert (warming.status_code, warming.json()["status"]) == (503, "warming")
        assert warming.json()["model_loaded"] is False
        assert (await client.get("/health/live")).status_code == 200

    routes(scenario, robot_id="arm-7")


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [("*", "http://any", "*"), ("http://a", "http://a", "http://a"), ("http://a", "http://b", None)],
)
def test_cors_is_open_unless_restricted_and_never_with_credentials(
    origins: str, origin: str, allowed: str | None
) -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        for path, status in (("/health", 200), ("/nope", 404)):
            response = await client.get(path, headers={"origin": origin})
            assert response.status_code == status
            assert response.headers.get("access-control-allow-origin") == allowed
            assert "access-control-allow-credentials" not in response.headers

    routes(scenario, cors_origins=origins)


def test_a_browser_may_send_json_and_a_deadline() -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        headers = {
            "origin": "http://a",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-reflex-deadline-ms",
        }
        assert (await client.options("/act", headers=headers)).status_code == 200

    routes(scenario)


@pytest.mark.parametrize(
    ("origins", "origin", "granted"),
    [
        ("https://lab.example", "https://lab.example", True),
        ("https://lab.example", "https://evil.example", False),
        ("*", "https://lab.example", False),
        ("https://lab.example,*", "https://lab.example", False),
    ],
)
def test_a_page_of_the_internet_calls_a_private_server_only_where_its_origin_was_named(
    origins: str, origin: str, granted: bool
) -> None:
    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        asked = {
            "origin": origin, "access-control-request-method": "POST", "access-control-request-private-network": "true",
        }  # fmt: skip
        response = await client.options("/act", headers=asked)
        assert (response.status_code == 200) == granted
        if granted:
            assert response.headers["access-control-allow-private-network"] == "true"
            assert response.headers["access-control-allow-origin"] == origin

    routes(scenario, cors_origins=origins)


def test_a_client_that_leaves_before_its_request_is_whole_gets_no_answer_and_counts_nowhere() -> None:
    sent: list[Message] = []
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def main() -> bytes:
        service = act_service(FakeTriton(), time.monotonic)
        scope: Scope = {"type": "http", "method": "POST", "path": "/act", "headers": []}
        await ActEndpoint(service)(scope, receive, send)
        return service.metrics.exposition()

    assert b"reflex_act_total{" not in asyncio.run(main())
    assert not sent


@pytest.mark.parametrize(("headers", "status"), [({"origin": "http://page"}, 415), ({}, 200)])
def test_a_web_page_must_say_that_it_sends_json(headers: dict[str, str], status: int) -> None:
    """Bytes without a type pass a browser without a preflight, and so past --cors-origins."""

    async def scenario(client: httpx.AsyncClient, _service: ActService) -> None:
        response = await client.post("/act", content=json.dumps(ACT).encode(), headers=headers)
        assert "content-type" not in response.request.headers
        assert response.status_code == status

    routes(scenario)
