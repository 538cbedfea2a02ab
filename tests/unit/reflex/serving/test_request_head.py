from __future__ import annotations

from dataclasses import dataclass

import pytest

from reflex.serving.request_head import Offers, path_of, problem_of


@dataclass(frozen=True)
class Head:
    method: bytes = b"GET"
    version: str = "1.1"
    upgrades: bool = False

    def get_method(self) -> bytes:
        return self.method

    def get_http_version(self) -> str:
        return self.version

    def should_upgrade(self) -> bool:
        return self.upgrades


@pytest.mark.parametrize("target", [b"/", b"/act?x=1", b"*", b"http://x:8000/act", b"HTTP://X:8000", b"//act"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_path_or_a_url_of_this_host_may_be_asked_for(target: bytes, version: str) -> None:
    assert problem_of(Head(version=version), target, b"x:8000") is None


@pytest.mark.parametrize(
    ("head", "target", "told"),
    [(Head(b"CONNECT", upgrades=True), b"x:443", "no proxy"), (Head(upgrades=True), b"/", "Upgrade"),
     (Head(version="0.9"), b"/", "HTTP/1.1"), (Head(version="2.0"), b"/", "HTTP/1.1"),
     (Head(), b"http://y/", "URL of the host"), (Head(), b"act", "a path"), (Head(), b"http:///", "URL of the host")],
)  # fmt: skip
def test_what_a_server_here_does_not_do_is_told(head: Head, target: bytes, told: str) -> None:
    assert told in str(problem_of(head, target, b"x"))


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"/", b"/"), (b"//x/y?z", b"//x/y?z"), (b"*", b"*"), (b"http://x:8000", b"/"), (b"HTTPS://x?y=1", b"/?y=1"),
     (b"http://x/act?url=http://y/", b"/act?url=http://y/"), (b"/http://x", b"/http://x")],
)  # fmt: skip
def test_of_a_url_the_path_is_asked_for(target: bytes, path: bytes) -> None:
    assert path_of(target) == path


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade", b"UPGRADE", b"uPgRaDe"])
@pytest.mark.parametrize("cut", range(len(b"\r\nupgrade: h2c\r\n") + 1))
def test_an_offer_of_another_protocol_gets_another_name_wherever_the_network_cuts_it(name: bytes, cut: int) -> None:
    before, after = b"GET / HTTP/1.1\r\nhost: x", b"\r\n" + name + b": h2c\r\n\r\n"
    offers = Offers()

    heard = offers.unheard(before + after[:cut]) + offers.unheard(after[cut:])

    assert heard == before + b"\r\n" + name + b"-: h2c\r\n\r\n"


@pytest.mark.parametrize("cut", [0, 5, 17, 26, 40, 60])
def test_nothing_else_is_renamed(cut: int) -> None:
    head = b"GET /upgrade: HTTP/1.1\r\nx-upgrade: 1\r\nupgrade-insecure-requests: 1\r\nx:\r\n upgrade: y\r\n\r\n"
    offers = Offers()

    assert offers.unheard(head[:cut]) + offers.unheard(head[cut:]) == head


def test_each_of_many_offers_gets_another_name() -> None:
    assert Offers().unheard(b"\r\nupgrade:\r\nUpgrade:upgrade:") == b"\r\nupgrade-:\r\nUpgrade-:upgrade:"
