"""A loopback port that stays ours for the life of the frontend, also while Triton restarts."""

from __future__ import annotations

import socket

__all__ = ["reserve_port"]


def reserve_port() -> socket.socket:
    """Bind a free port of 127.0.0.1 without listening; close the socket to give the port back.

    Triton binds the same port with SO_REUSEPORT, which the kernel allows to the same user only. Connections go to
    sockets that listen, so none is lost to this one; while Triton is down they are refused at once.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", 0))
    except OSError:
        reservation.close()
        raise
    return reservation
