"""The socket of the server: what an operator is told when it cannot be had."""

from __future__ import annotations

import socket

import pytest

from reflex.errors import SetupError
from reflex.serving.listener import listen, url_from_here, url_of


@pytest.mark.parametrize("host", ["300.1.2.3", "192.0.2.1", "no-such-host.invalid", "a..b", "2001:db8::1"])
def test_an_address_that_is_not_this_machines_is_no_matter_of_the_port(host: str) -> None:
    with pytest.raises(SetupError, match="is no address of this machine") as caught:
        listen(host, 0)
    assert "--port" not in str(caught.value)
    assert f"--host {host}" in str(caught.value)


def test_a_taken_port_is_told_with_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match="choose another --port"):
            listen("127.0.0.1", port)


def test_the_url_is_what_a_client_on_this_machine_types() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8100"),
        ("::", "http://127.0.0.1:8100"),
        ("::1", "http://[::1]:8100"),
        ("10.1.2.3", "http://10.1.2.3:8100"),
        ("control.lab", "http://control.lab:8100"),
    ],
)
def test_whoever_sits_at_the_machine_is_sent_to_an_address_that_there_is(host: str, url: str) -> None:
    assert url_from_here(host, 8100) == url
