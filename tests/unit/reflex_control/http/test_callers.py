"""What is believed of a request: the address that is counted, and the URL that people open."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from starlette.requests import Request

from reflex.errors import ServiceError
from reflex_control.http.callers import Callers, new_public_limits

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def asked(peer: str | None = "192.0.2.1", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": raw, "server": ("127.0.0.1", 8100), "client": peer and (peer, 1)}
    return Request(scope)


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("192.0.2.1", "203.0.113.5", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
        ("10.0.0.1", "[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"),
        ("10.0.0.1", "[", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("fd00::1", "[2001:db8:1:2::7]", "2001:db8:1:2::/64"),
        (None, "203.0.113.5", ""),
    ],
)
def test_a_caller_is_counted_by_the_nearest_address_that_nobody_invents(
    peer: str | None, forwarded: str, counted: str
) -> None:
    request = asked(peer, x_forwarded_for=forwarded) if forwarded else asked(peer)

    assert Callers(trusted=PROXIES).address_of(request) == counted


@pytest.mark.parametrize(
    ("peer", "headers", "origin"),
    [
        ("192.0.2.1", {"host": "control.lab:8100"}, "http://control.lab:8100"),
        ("192.0.2.1", {"host": "control.lab", "x_forwarded_proto": "https"}, "http://control.lab"),
        ("10.0.0.1", {"host": "control.lab", "x_forwarded_proto": "https"}, "https://control.lab"),
        ("10.0.0.1", {"host": "control.lab", "x_forwarded_proto": "javascript"}, "http://control.lab"),
        ("192.0.2.1", {"host": "evil.example/?x="}, "http://127.0.0.1:8100"),
        ("192.0.2.1", {"host": "a@evil.example"}, "http://127.0.0.1:8100"),
        ("192.0.2.1", {}, "http://127.0.0.1:8100"),
        ("192.0.2.1", {"host": "[::1]:8100"}, "http://[::1]:8100"),
    ],
)
def test_pages_are_where_the_request_was_sent_to_if_that_is_a_host(
    peer: str, headers: dict[str, str], origin: str
) -> None:
    assert Callers(trusted=PROXIES).origin_of(asked(peer, **headers)) == origin


def test_a_server_on_a_socket_without_an_address_has_pages_too() -> None:
    request = asked()
    request.scope["server"] = None

    assert Callers().origin_of(request) == "http://localhost"


def test_the_url_of_the_settings_is_never_overruled() -> None:
    callers = Callers(public_url="https://robots.example")

    assert callers.origin_of(asked(host="evil.example")) == "https://robots.example"


def test_an_address_that_asks_too_much_is_refused_and_no_other() -> None:
    callers = Callers(new_public_limits(0.5))
    callers.admit(asked("192.0.2.1"))
    with pytest.raises(ServiceError, match="this address has used up its requests"):
        callers.admit(asked("192.0.2.1"))
    callers.admit(asked("192.0.2.2"))
