"""Waiting for a login: as often as it is allowed, and not for ever."""

from __future__ import annotations

import pytest

from reflex.client import MockTransport
from reflex.control import ControlClient
from reflex.control.device_login import wait_for_key
from reflex.control.objects import DeviceLogin
from reflex.errors import SetupError, service_error
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
