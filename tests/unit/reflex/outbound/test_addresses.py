"""Which addresses are asked for others, however they are spelt, and names that are resolved in bounded time."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from reflex.errors import SetupError, TransportError
from reflex.outbound import addresses
from reflex.outbound.addresses import refusal_of, resolve
from support.waiting import HANGS_S, wait_until

NEVER_ASKED = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%lo", "febf::1", "fec0::1", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "224.0.0.1", "239.255.255.250", "ff02::1",
    "0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe",
    "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00:808:808", "64:ff9b:1::808:808", "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601", "fd00::5efe:a9fe:a9fe", "2001:db8::200:5efe:169.254.169.254",
    "::ffff:0.0.0.0", "64:ff9b::e000:1", "no address", "1.2.3", "",
]  # fmt: skip
ASKED = ["127.0.0.1", "127.8.9.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "100.64.0.1", "8.8.8.8",
         "2606:4700::1111",
         "fd12:3456::1", "::ffff:10.0.0.1", "64:ff9b::808:808", "2002:808:808::1", "fd00::5efe:10.0.0.1",
         "2001:db8::200:5efe:8.8.8.8"]  # fmt: skip


@pytest.mark.parametrize("address", NEVER_ASKED)
def test_what_holds_metadata_or_is_no_one_server_is_never_asked(address: str) -> None:
    assert refusal_of(address)


@pytest.mark.parametrize("address", ASKED)
def test_loopback_private_and_public_servers_are_asked(address: str) -> None:
    assert refusal_of(address) is None


def soon() -> float:
    return time.monotonic() + HANGS_S


@pytest.mark.parametrize(
    "host",
    ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.254.0251.254", "[::ffff:a9fe:a9fe]"],
)
def test_another_spelling_of_a_refused_address_is_refused(host: str) -> None:
    with pytest.raises(SetupError, match="link-local"):
        resolve(host.strip("[]"), 80, soon())


def test_a_name_that_is_loopback_in_any_spelling_is_resolved_once_with_every_address() -> None:
    assert resolve("127.0.0.1", 80, soon()) == ["127.0.0.1"]
    assert resolve("2130706433", 80, soon()) == ["127.0.0.1"]
    assert set(resolve("localhost", 80, soon())) <= {"127.0.0.1", "::1"}


def entries(*found: str) -> Any:
    return lambda *_args, **_kwargs: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in found]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_name_with_one_bad_address_is_refused_whole(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    found = ["10.0.0.1", "10.0.0.2"]
    found.insert(place, "169.254.169.254")
    monkeypatch.setattr(socket, "getaddrinfo", entries(*found))
    with pytest.raises(SetupError, match=r"gpu-box, that is 169\.254\.169\.254, is not asked"):
        resolve("gpu-box", 80, soon())


def test_a_name_with_more_addresses_than_a_server_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    most = [f"10.0.0.{number}" for number in range(1, 17)]
    monkeypatch.setattr(socket, "getaddrinfo", entries(*most, *most))  # once for each protocol
    assert resolve("many", 80, soon()) == most
    monkeypatch.setattr(socket, "getaddrinfo", entries(*most, "10.0.0.17"))
    with pytest.raises(SetupError, match="more than 16"):
        resolve("many", 80, soon())


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(TransportError, match="the name nobody does not resolve"):
        resolve("nobody", 80, soon())


def test_a_silent_name_server_holds_nobody_and_not_more_threads_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [][: over.wait(HANGS_S)])
    monkeypatch.setattr(addresses, "_waiting", threading.BoundedSemaphore(2))
    try:
        for _ in range(2):
            with pytest.raises(TransportError, match="not resolved in time"):
                resolve("slow", 80, time.monotonic() + 0.01)
        with pytest.raises(TransportError, match="too many names"):
            resolve("slow", 80, time.monotonic() + 0.01)
    finally:
        over.set()
    wait_until(lambda: addresses._waiting._value == 2, "the places are free again")
