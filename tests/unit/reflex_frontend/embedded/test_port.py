from __future__ import annotations

import socket

import pytest

from reflex_frontend.embedded.port import reserve_port
from support.waiting import HANGS_S


def test_a_reserved_port_is_refused_to_others_and_open_to_one_that_shares_it() -> None:
    with reserve_port() as reservation, socket.socket() as other, socket.socket() as triton:
        address = reservation.getsockname()
        with pytest.raises(OSError, match="in use"):
            other.bind(address)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=HANGS_S)
        triton.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        triton.bind(address)
        triton.listen()
        socket.create_connection(address, timeout=HANGS_S).close()
