"""The process behind the routes: how long it runs, and that it leaves politely."""

from __future__ import annotations

import pytest

from reflex.errors import UnavailableError
from reflex_frontend.exchange.instance import Instance


def test_uptime_counts_from_the_start() -> None:
    time_s = [100.0]
    instance = Instance(lambda: time_s[0])
    time_s[0] += 42
    assert instance.uptime_s == 42


def test_a_draining_server_refuses_and_says_when_to_try_elsewhere() -> None:
    instance = Instance(lambda: 0.0)
    instance.admit()
    instance.is_draining = True
    with pytest.raises(UnavailableError) as caught:
        instance.admit()
    assert (caught.value.code, caught.value.retry_after_s) == ("draining", 1.0)
