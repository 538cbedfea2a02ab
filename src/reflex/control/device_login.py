"""A login that a person confirms elsewhere: waiting for its key, as often as the control plane allows to ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from reflex.control.blocking import ControlClient
from reflex.control.objects import DeviceLogin
from reflex.errors import ServiceError, SetupError, TransportError

__all__ = ["wait_for_key"]

PENDING: Final = "login_pending"
LONGEST_S: Final = 900.0
"""What a control plane gives a login at most; an answer must not make a command wait for ever."""
MIN_INTERVAL_S: Final = 1.0
MAX_INTERVAL_S: Final = 60.0


def wait_for_key(
    client: ControlClient,
    login: DeviceLogin,
    *,
    tell: Callable[[str], None] = lambda _trouble: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """The key, once the login was confirmed. `SetupError` when nobody did, the `ServiceError` of a refusal.

    A control plane that does not answer is waited for, and `tell` hears of it once: the login goes on meanwhile.
    """
    interval_s = min(max(float(login["intervalSeconds"]), MIN_INTERVAL_S), MAX_INTERVAL_S)
    ends_s = clock() + LONGEST_S
    is_told = False
    while clock() < ends_s:
        try:
            return client.take_device_login(login["deviceCode"])["key"]
        except ServiceError as exc:
            if exc.code != PENDING and not exc.retryable:
                raise
            pause_s = min(max(exc.retry_after_s or 0.0, interval_s), MAX_INTERVAL_S)
        except TransportError as exc:
            pause_s = interval_s
            if not is_told:
                tell(f"{exc} Still waiting for the confirmation.")
            is_told = True
        sleep(pause_s)
    raise SetupError("nobody confirmed the login; run 'reflex login' again, and enter the code within its time")
