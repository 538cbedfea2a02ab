"""What the pages do with a request before any page sees it; over the real socket it is in tests/dashboard/."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from reflex.errors import ServiceError, service_error
from reflex.serving.hosts import allowed_hosts
from reflex_control.dashboard import site
from reflex_control.dashboard.cookies import SIGN_IN_COOKIE
from reflex_control.dashboard.sign_ins import SignIns
from reflex_control.http.app import build_app
from reflex_control.http.callers import Callers
from reflex_control.http.front_door import front_door
from reflex_control.http.metrics import Metrics
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.rate_limits import RateLimits
from support.clock import Clock, clock

__all__ = ["clock"]

OWN = "http://127.0.0.1:8100"


def get(plane: Plane, path: str, key_id: str) -> httpx.Response:
    """By a browser that is signed in with this key."""
    (answer,) = get_all(plane, [path], key_id, RateLimits(1e6), Callers())
    return answer


def get_all(
    plane: Plane, paths: Sequence[str], key_id: str | None, limits: RateLimits, callers: Callers
) -> list[httpx.Response]:
    """One after the other, of one server."""
    metrics = Metrics()
    app = build_app(plane, limits, metrics, callers=callers)
    site.add_dashboard(app, plane, limits, callers)
    sign_ins = SignIns(plane)
    cookies = {} if key_id is None else {SIGN_IN_COOKIE: sign_ins.cookie_of(sign_ins.begin(key_id))}
    transport = httpx.ASGITransport(front_door(app, allowed_hosts("127.0.0.1", None), metrics))

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url=OWN, cookies=cookies) as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


@pytest.mark.slow
def test_a_key_that_holds_no_more_leads_to_the_sign_in_page(plane: Plane, actor: Actor) -> None:
    assert get(plane, "/robots", actor.key_id).status_code == 200

    sent = get(plane, "/robots", "key_that_never_was")
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2Frobots&done=ended")


@pytest.mark.slow
def test_pages_count_against_the_key_that_is_signed_in_and_before_that_against_the_address(
    plane: Plane, actor: Actor, clock: Clock
) -> None:
    def limits() -> RateLimits:
        return RateLimits(1.0, clock)  # two at once

    def statuses(path: str, key_id: str | None, of_keys: RateLimits, of_addresses: RateLimits) -> list[int]:
        answers = get_all(plane, [path] * 3, key_id, of_keys, Callers(of_addresses))
        assert answers[-1].status_code != 429 or answers[-1].headers["retry-after"] == "1"
        return [answer.status_code for answer in answers]

    assert statuses("/robots", actor.key_id, limits(), RateLimits(1e6)) == [200, 200, 429]
    assert statuses("/robots", actor.key_id, RateLimits(1e6), limits()) == [200, 200, 200]
    assert statuses("/sign-in", None, RateLimits(1e6), limits()) == [200, 200, 429]
    assert statuses("/sign-in", None, limits(), RateLimits(1e6)) == [200, 200, 200]


@pytest.mark.parametrize("code", ["draining", "rate_limited"])
def test_trouble_of_the_server_signs_nobody_out(
    plane: Plane, actor: Actor, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def fail(*_: object) -> Actor:
        raise service_error(code, "not now", retry_after_s=1.0)

    monkeypatch.setattr(site, "recall", fail)
    answer = get(plane, "/robots", actor.key_id)

    assert answer.status_code == ServiceError(code, "not now").status
    assert "set-cookie" not in answer.headers
