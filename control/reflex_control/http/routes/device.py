"""Login by a code over HTTP: begun and asked for by a machine without a key, confirmed or refused by an admin."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from reflex.control import objects
from reflex_control.http.operation import PUBLIC, Call, Needs, Operation
from reflex_control.http.routes.bodies import Body, Name
from reflex_control.logins import confirm_login, refuse_login, start_login, take_login, withdraw_login

__all__ = ["DEVICE_OPERATIONS", "DEVICE_PAGE", "MAX_CODE_CHARACTERS"]

DEVICE_PAGE: Final = "/device"
"""The page of the dashboard where a code is confirmed."""
MAX_CODE_CHARACTERS: Final = 32
"""As people write them, spaces and all."""
ADMIN: Final = Needs.scope("admin")

DeviceCode = Annotated[str, StringConstraints(min_length=1, max_length=256)]
UserCode = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CODE_CHARACTERS)]


class NewLogin(Body):
    client_name: Name | None = None


class OfLogin(Body):
    device_code: DeviceCode


class Confirmation(Body):
    user_code: UserCode
    scopes: Annotated[list[str], Field(min_length=1, max_length=16)] | None = None


class Refusal(Body):
    user_code: UserCode


def _start(call: Call) -> dict[str, Any]:
    started = start_login(call.plane, call.body.client_name, call.address)
    return {**started, "verificationUrl": call.origin + DEVICE_PAGE}


def _token(call: Call) -> dict[str, Any]:
    return take_login(call.plane, call.body.device_code)


def _cancel(call: Call) -> dict[str, Any]:
    withdraw_login(call.plane, call.body.device_code)
    return {"withdrawn": True}


def _confirm(call: Call) -> dict[str, Any]:
    return confirm_login(call.plane, call.who, call.body.user_code, call.body.scopes)


def _refuse(call: Call) -> dict[str, Any]:
    return refuse_login(call.plane, call.who, call.body.user_code)


DEVICE_OPERATIONS: Final = (
    Operation("POST", "/v1/device/start", "Begin a login that an admin confirms by its code", PUBLIC, _start,
              objects.DeviceLogin, takes=NewLogin),
    Operation("POST", "/v1/device/token", "Take the key of a login, once it is confirmed", PUBLIC, _token,
              objects.LoggedIn, takes=OfLogin, refuses=(403, 410, 428)),
    Operation("POST", "/v1/device/cancel", "Stop waiting for a login", PUBLIC, _cancel, objects.Withdrawn,
              takes=OfLogin),
    Operation("POST", "/v1/device/confirm", "Let the machine that shows a code take a key", ADMIN, _confirm,
              objects.Login, takes=Confirmation, refuses=(404,)),
    Operation("POST", "/v1/device/refuse", "Let it take none", ADMIN, _refuse, objects.Login, takes=Refusal,
              refuses=(404,)),
)  # fmt: skip
