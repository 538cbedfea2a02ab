"""The socket that robots connect to."""

from __future__ import annotations

import errno
import socket
from typing import Final

from reflex.errors import SetupError

__all__ = ["BACKLOG", "EVERY_ADDRESS", "listen", "url_from_here", "url_of"]

BACKLOG: Final = 1024
EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
LOOPBACK: Final = "127.0.0.1"
SEND_BUFFER_BYTES: Final = 256 * 1024
"""Of a connection, in the kernel: several of the largest answers. By itself it grows to 4 MB for who does not read."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; `SetupError` says whether the address or the port is the trouble, and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as exc:
        listener.close()
        raise SetupError(_why_not(host, port, exc)) from exc
    listener.listen(BACKLOG)
    return listener


def url_of(listener: socket.socket) -> str:
    """Its own address, like `http://127.0.0.1:8000`."""
    return _url(*listener.getsockname()[:2])


def url_from_here(host: str, port: int) -> str:
    """Where this machine itself asks a server that listens there: every address is no place to go to."""
    return _url(LOOPBACK if host in EVERY_ADDRESS else host, port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _why_not(host: str, port: int, exc: OSError | UnicodeError) -> str:
    if isinstance(exc, UnicodeError | socket.gaierror) or exc.errno == errno.EADDRNOTAVAIL:
        return (
            f"cannot listen on --host {host}: it is no address of this machine; 127.0.0.1 is for this machine alone, "
            "0.0.0.0 for every network that it is in (`ip -brief address` shows its addresses)"
        )
    if exc.errno == errno.EACCES:
        return f"cannot listen on {host}:{port} ({exc.strerror}); choose a --port of 1024 or above"
    return (
        f"cannot listen on {host}:{port} ({exc.strerror}); choose another --port, or stop what uses it "
        f"(ss -ltnp 'sport = :{port}' shows it)"
    )
