"""The admin routes over ASGI: what they change, what they refuse, and that everything is one envelope."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from reflex.errors import SetupError
from reflex_frontend.errors import TritonCallError
from reflex_frontend.exchange.routing import Router
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.rollout.admin import Admin, build_admin
from reflex_frontend.rollout.rollout import Rollout
from support.fakes import FakeTriton, act_service, loaded

TOKEN = "a token"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
Scenario = Callable[[httpx.AsyncClient, Router], Coroutine[Any, Any, None]]


@dataclass
class Replacing:
    """Stands for the rollout: notes what it is asked, and refuses in its words."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    refusal: str | None = None
    failure: Exception | None = None

    async def replace(self, slot: str, policy: str) -> None:
        self.asked.append((slot, policy))
        if self.refusal is not None:
            raise SetupError(self.refusal)
        if self.failure is not None:
            raise self.failure


def administer(scenario: Scenario, rollout: object | None = None, *, has_two: bool = True) -> None:
    async def main() -> None:
        second = FakeTriton() if has_two else None
        router = act_service(FakeTriton(), time.monotonic, second=second, split=80).router
        app = build_admin(Admin(router, cast("Rollout", rollout or Replacing()), TOKEN))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=RIGHT) as client:
            await scenario(client, router)

    asyncio.run(main())


def assert_envelope(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    body = response.json()
    assert body["error"] == code
    assert body["message"]
    assert body["request_id"]


def test_the_slots_are_shown_with_their_policies_and_the_split() -> None:
    async def scenario(client: httpx.AsyncClient, _router: Router) -> None:
        assert (await client.get("/slots")).json() == {
            "split": 80,
            "slots": {
                "a": {"model_version": "small@abababababab", "status": "ready", "reason": None},
                "b": {"model_version": "other@abababababab", "status": "ready", "reason": None},
            },
        }

    administer(scenario)


def test_the_shadow_is_shown_beside_the_slots() -> None:
    async def main() -> None:
        router = act_service(FakeTriton(), time.monotonic, second=FakeTriton()).router
        shadow = loaded(FakeTriton(), time.monotonic)
        app = build_admin(Admin(router, cast("Rollout", Replacing()), TOKEN, shadow=shadow))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=RIGHT) as client:
            shown = (await client.get("/slots")).json()["shadow"]
        assert shown == {"model_version": "small@abababababab", "status": "ready", "reason": None}

    asyncio.run(main())


def test_a_slot_that_is_out_says_why() -> None:
    async def scenario(client: httpx.AsyncClient, router: Router) -> None:
        router.slots["b"].loaded.vitals.breaker.open("its model is gone")
        shown = (await client.get("/slots")).json()["slots"]["b"]
        assert (shown["status"], shown["reason"]) == ("degraded", "its model is gone")

    administer(scenario)


@pytest.mark.parametrize("split", [0, 1, 50, 100])
def test_the_split_is_changed_and_the_change_is_logged(caplog: pytest.LogCaptureFixture, split: int) -> None:
    async def scenario(client: httpx.AsyncClient, router: Router) -> None:
        answer = await client.post("/split", json={"split": split})
        assert (answer.status_code, answer.json()["split"], router.split) == (200, split, split)

    with caplog.at_level(logging.WARNING):
        administer(scenario)
    (record,) = [record for record in caplog.records if record.message == "split changed"]
    assert (record.__dict__["was"], record.__dict__["is"]) == (80, split)
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("split", [-1, 101, 50.0, "50", True, None, [], {}])
def test_what_is_no_split_changes_nothing(split: object) -> None:
    async def scenario(client: httpx.AsyncClient, router: Router) -> None:
        answer = await client.post("/split", json={"split": split})
        assert_envelope(answer, 400, "wrong_type")
        assert answer.json()["field"] == "split"
        assert router.split == 80

    administer(scenario)


def test_a_server_with_one_policy_has_no_split() -> None:
    async def scenario(client: httpx.AsyncClient, router: Router) -> None:
        answer = await client.post("/split", json={"split": 50})
        assert_envelope(answer, 409, "conflict")
        assert "--policy-a and --policy-b" in answer.json()["message"]
        assert router.split == 80

    administer(scenario, has_two=False)


@pytest.mark.parametrize("slot", ["a", "b"])
def test_a_policy_is_replaced_in_the_slot_that_is_named(slot: str) -> None:
    rollout = Replacing()

    async def scenario(client: httpx.AsyncClient, _router: Router) -> None:
        assert (await client.post(f"/slots/{slot}", json={"policy": "new"})).status_code == 200

    administer(scenario, rollout)
    assert rollout.asked == [(slot, "new")]


def test_a_replacement_that_must_not_be_is_409_in_its_own_words() -> None:
    async def scenario(client: httpx.AsyncClient, _router: Router) -> None:
        answer = await client.post("/slots/b", json={"policy": "new"})
        assert_envelope(answer, 409, "conflict")
        assert answer.json()["message"] == "its canary is wrong; the old one goes on"

    administer(scenario, Replacing(refusal="its canary is wrong; the old one goes on"))


@pytest.mark.parametrize("failure", [TritonCallError("dead", "its process is gone"), ValueError("its process is gone")])
def test_a_replacement_that_triton_does_not_stand_is_409_with_its_reason(failure: Exception) -> None:
    async def scenario(client: httpx.AsyncClient, _router: Router) -> None:
        answer = await client.post("/slots/b", json={"policy": "new"})
        assert_envelope(answer, 409, "conflict")
        assert "policy 'new' cannot be served" in answer.json()["message"]
        assert "its process is gone" in answer.json()["message"]

    administer(scenario, Replacing(failure=failure))


def test_a_failure_that_nobody_expected_is_logged_and_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: httpx.AsyncClient, _router: Router) -> None:
        answer = await client.post("/slots/b", json={"policy": "new"})
        assert_envelope(answer, 500, "internal")
        assert "inside" not in answer.text

    administer(scenario, Replacing(failure=RuntimeError("inside")))
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError


@pytest.mark.parametrize("policy", ["../else", "a/b", "..", ".", "a\0b", "a\nb", "x" * 300])
def test_a_name_that_is_no_folder_of_the_repository_is_refused_before_anything_is_loaded(
    tmp_path: Path, policy: str
) -> None:
    async def main() -> None:
        service = act_service(FakeTriton(), time.monotonic, second=FakeTriton())
        loader = PolicyLoader(cast("Any", None), service.workers, asyncio.create_task)
        rollout = Rollout(service.router, loader, tmp_path)
        app = build_admin(Admin(service.router, rollout, TOKEN))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=RIGHT) as client:
            assert_envelope(await client.post("/slots/b", json={"policy": policy}), 409, "conflict")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "content", "status", "code"),
    [
        ("/split", b"{", 400, "invalid_json"),
        ("/split", b"", 400, "invalid_json"),
        ("/split", b"\xff", 400, "invalid_json"),
        ("/split", b'{"split": NaN}', 400, "invalid_json"),
        ("/split", b"[50]", 400, "wrong_type"),
        ("/split", b'{"split": 50}' + b" " * 4096, 413, "payload_too_large"),
        ("/split", b"[" * 4000, 400, "invalid_json"),
        ("/slots/b", b"{}", 400, "missing_field"),
        ("/slots/b", b'{"policy": ""}', 400, "missing_field"),
        ("/slots/b", b'{"policy": 1}', 400, "missing_field"),
        ("/slots/c", b'{"policy": "new"}', 404, "not_found"),
    ],
)
def test_a_body_that_says_nothing_is_refused(path: str, content: bytes, status: int, code: str) -> None:
    rollout = Replacing()

    async def scenario(client: httpx.AsyncClient, router: Router) -> None:
        assert_envelope(await client.post(path, content=content), status, code)
        assert router.split == 80

    administer(scenario, rollout)
    assert rollout.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/slots/", 404, "not_found"),
        ("POST", "/slots/a/b", 404, "not_found"),
        ("GET", "/split", 405, "method_not_allowed"),
        ("DELETE", "/slots/a", 405, "method_not_allowed"),
    ],
)
def test_another_route_or_method_is_the_envelope_too(method: str, path: str, status: int, code: str) -> None:
    async def scenario(client: httpx.AsyncClient, _router: Router) -> None:
        answer = await client.request(method, path)
        assert_envelope(answer, status, code)
        assert status != 405 or answer.headers["allow"]

    administer(scenario)


@pytest.mark.parametrize(
    "given", [None, "", TOKEN, f"Bearer {TOKEN}x", f"Bearer  {TOKEN}", f"bearer {TOKEN}", "Bearer é"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/slots"), ("POST", "/split"), ("POST", "/slots/a"), ("GET", "/x")]
)
def test_without_the_token_nothing_happens(method: str, path: str, given: str | None) -> None:
    rollout = Replacing()

    async def scenario(client: httpx.AsyncClient, router: Router) -> None:
        del client.headers["authorization"]
        headers = {} if given is None else {b"authorization": given.encode()}
        answer = await client.request(method, path, headers=headers, json={"split": 1, "policy": "new"})
        assert_envelope(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert router.split == 80

    administer(scenario, rollout)
    assert rollout.asked == []
