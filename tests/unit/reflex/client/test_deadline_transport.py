"""A transport that is closed leaves no connection open, whatever its other threads do at that moment."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from reflex.client.deadline_transport import DeadlineTransport
from support.waiting import HANGS_S


def test_a_connection_that_another_thread_opens_while_the_client_is_closed_is_closed_too() -> None:
    opening, is_closed = threading.Event(), threading.Event()

    def addresses(_host: str, _port: int) -> list[str]:
        opening.set()
        is_closed.wait(HANGS_S)
        return ["127.0.0.1"]

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        httpx.Client(transport=DeadlineTransport(addresses=addresses), timeout=HANGS_S) as client,
        ThreadPoolExecutor() as others,
    ):
        listener.settimeout(HANGS_S)
        asking = others.submit(client.get, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert opening.wait(HANGS_S)
        client.close()
        is_closed.set()
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b"", "nothing is asked over it"
        with pytest.raises(httpx.ConnectError, match="the client was closed meanwhile"):
            asking.result()
