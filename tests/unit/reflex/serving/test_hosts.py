"""Names of strangers are refused, and nobody listens beyond this machine without keys by accident."""

from __future__ import annotations

import pytest

from reflex.errors import InvalidRequestError, SetupError
from reflex.serving.hosts import AllowedHosts, allowed_hosts, check_bind, is_loopback

LOOPBACK = ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST.", "::ffff:127.0.0.1"]
BEYOND = ["0.0.0.0", "::", "", "192.168.1.5", "gpu-box", "localhost.evil.example", "127.1", "0", "::ffff:10.0.0.1"]


def is_allowed(hosts: AllowedHosts, *values: bytes) -> bool:
    try:
        hosts.check([(b"accept", b"*/*"), *((b"host", value) for value in values)])
    except InvalidRequestError:
        return False
    return True


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_alone_needs_no_keys(host: str) -> None:
    assert is_loopback(host)
    check_bind(host, has_keys=False, insecure=False)


@pytest.mark.parametrize("host", BEYOND)
def test_beyond_this_machine_keys_or_a_word_are_needed(host: str) -> None:
    with pytest.raises(SetupError, match=r"--api-keys FILE .*--insecure"):
        check_bind(host, has_keys=False, insecure=False)
    check_bind(host, has_keys=True, insecure=False)
    check_bind(host, has_keys=False, insecure=True)


@pytest.mark.parametrize("value", [
    b"localhost", b"localhost:8000", b"LocalHost:8000", b"localhost.", b"app.localhost:1", b"127.0.0.1:8000", b"[::1]",
    b"[::1]:8000", b"192.168.1.5:80", b"[fe80::1]:8000", b"",
])  # fmt: skip
def test_on_loopback_local_names_and_addresses_are_answered(value: bytes) -> None:
    assert is_allowed(allowed_hosts("127.0.0.1", None), value)


@pytest.mark.parametrize("value", [
    b"evil.example", b"evil.example:8000", b"localhost.evil.example", b"evillocalhost", b"127.0.0.1.evil.example",
    b"localhost@evil.example", b"localhost, evil.example", b"localhost:8000:1", b"local host", b"localhost/", b"\xff",
    b"::1", b"[evil]", b"localhost..", b"a" * 10_000, b"127.0.0.1:port", b".localhost.evil", b"[", b"*", b"*.localhost",
])  # fmt: skip
def test_on_loopback_every_other_name_is_refused(value: bytes) -> None:
    assert not is_allowed(allowed_hosts("127.0.0.1", None), value)


def test_two_hosts_are_refused_and_none_passes() -> None:
    hosts = allowed_hosts("::1", None)
    assert not is_allowed(hosts, b"localhost", b"localhost")
    assert is_allowed(hosts)


def test_beyond_loopback_every_name_is_answered_unless_some_are_given() -> None:
    assert is_allowed(allowed_hosts("0.0.0.0", None), b"gpu-box.lan:8000")
    assert not is_allowed(allowed_hosts("0.0.0.0", ("other",)), b"gpu-box.lan:8000")


def test_given_names_are_answered_and_addresses_always() -> None:
    hosts = allowed_hosts("127.0.0.1", ("GPU-box", " *.example.org"))
    for allowed in (b"gpu-box", b"Gpu-Box:80", b"a.example.org", b"a.b.example.org", b"10.1.2.3"):
        assert is_allowed(hosts, allowed)
    for refused in (b"localhost", b"example.org", b"badexample.org", b"gpu-box.evil.example"):
        assert not is_allowed(hosts, refused)


def test_a_star_answers_all() -> None:
    assert is_allowed(allowed_hosts("127.0.0.1", ("gpu-box", "*")), b"anything", b"twice")


@pytest.mark.parametrize("name", ["http://gpu-box", "gpu-box:8000", "gpu box", "", "a/b", "*box", "a.*.b", "é"])
def test_what_is_no_name_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(SetupError, match="--allowed-hosts takes names"):
        allowed_hosts("127.0.0.1", (name,))


def test_the_refusal_is_a_400_and_does_not_repeat_the_name() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        allowed_hosts("127.0.0.1", None).check([(b"host", b"evil.example")])
    assert (caught.value.status, caught.value.code) == (400, "invalid_http")
    assert "evil" not in str(caught.value)
