"""What is wrong with an address is said by both clients, and so by every command, in the same words."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.client.http import checked_url
from reflex.errors import SetupError, TransportError
from unit.reflex.client.conftest import Connect


@pytest.fixture(scope="module")
def plain_server() -> Iterator[str]:
    """Host and port of a server without TLS; it answers 400 to a TLS greeting, as every HTTP server does."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("route", ["/act", "/act/", "/health", "/health/live", "/config", "/metrics", "/openapi.json"])
@pytest.mark.parametrize("address", ["http://robot:8000", "https://fleet.example/arm-3"])
def test_a_route_is_no_address_of_a_server(connect: Connect, address: str, route: str) -> None:
    with pytest.raises(SetupError, match=f"give the server's address without {route.rstrip('/')}$"):
        connect(address + route)


@pytest.mark.parametrize(
    "url", ["http://robot:8000", "http://robot:8000/", "http://act", "http://robot/fact", "http://h/act/x"]
)
def test_an_address_with_a_prefix_of_a_proxy_is_one(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


@pytest.mark.parametrize("command", [["act", "wave", "--state", "0", "--url"], ["check"], ["status"]])
def test_commands_say_the_same(command: list[str]) -> None:
    ended = CliRunner().invoke(app, [*command, "http://127.0.0.1:9/act"])

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "give the server's address without /act" in ended.stderr


def test_https_to_a_server_of_plain_http_is_told_the_address_that_works(connect: Connect, plain_server: str) -> None:
    with pytest.raises(TransportError) as caught:
        connect(f"https://{plain_server}").config()

    assert str(caught.value).endswith(f"it speaks plain http: http://{plain_server}")
