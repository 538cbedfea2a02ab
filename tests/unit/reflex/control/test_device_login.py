"""Waiting for a login: as often as it is allowed, and not for ever."""

from __future__ import annotations

import pytest

from reflex.client import MockAnswer, MockTransport
from reflex.control import ControlClient
from reflex.control.device_login import wait_for_key
from reflex.control.objects import DeviceLogin
from reflex.errors import ServiceError, SetupError, TransportError, service_error
from support.clock import Clock

PENDING = service_error("login_pending", "not yet", status=428)


def login(interval_s: float) -> DeviceLogin:
    return {"deviceCode": "code", "userCode": "A", "verificationUrl": "http://c", "expiresAt": "t",
            "intervalSeconds": interval_s}  # fmt: skip


@pytest.mark.parametrize(("interval_s", "pause_s"), [(5, 5), (0, 1), (-3, 1), (1e9, 60)])
def test_it_asks_as_often_as_it_is_told_within_reason(interval_s: float, pause_s: float) -> None:
    pauses: list[float] = []
    with ControlClient(transport=MockTransport([PENDING, PENDING, {"key": "rfx_new"}])) as client:
        assert wait_for_key(client, login(interval_s), sleep=pauses.append) == "rfx_new"
    assert pauses == [pause_s, pause_s]


def test_it_gives_up_when_nobody_confirms(clock: Clock) -> None:
    def pass_time(seconds: float) -> None:
        clock.now_s += seconds

    transport = MockTransport([PENDING])
    with ControlClient(transport=transport) as client, pytest.raises(SetupError, match="nobody confirmed"):
        wait_for_key(client, login(60), sleep=pass_time, clock=clock)
    assert len(transport.requests) == 15


def test_it_outlives_a_control_plane_that_is_away_for_a_while_and_says_so_once() -> None:
    told: list[str] = []
    pauses: list[float] = []
    answers: list[MockAnswer] = [PENDING, TransportError("gone"), TransportError("gone"), PENDING, {"key": "rfx_new"}]
    with ControlClient(transport=MockTransport(answers)) as client:
        assert wait_for_key(client, login(5), tell=told.append, sleep=pauses.append) == "rfx_new"
    assert len(told) == 1
    assert told[0].startswith("Cannot reach the Reflex backend at ")
    assert pauses == [5, 5, 5, 5]


def test_it_waits_as_long_as_it_is_told_when_it_asked_too_soon() -> None:
    pauses: list[float] = []
    too_soon = service_error("rate_limited", "wait", retry_after_s=45.0)
    with ControlClient(transport=MockTransport([too_soon, {"key": "rfx_new"}])) as client:
        assert wait_for_key(client, login(5), sleep=pauses.append) == "rfx_new"
    assert pauses == [45]


@pytest.mark.parametrize("code", ["login_refused", "login_ended", "not_found"])
def test_a_login_that_gets_no_key_any_more_ends_at_once(code: str) -> None:
    transport = MockTransport([service_error(code, "no")])
    with ControlClient(transport=transport) as client, pytest.raises(ServiceError) as refused:
        wait_for_key(client, login(5), sleep=lambda _seconds: None)
    assert refused.value.code == code
