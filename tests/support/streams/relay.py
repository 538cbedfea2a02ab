"""A TCP proxy on this machine: it takes connections and joins each to a target. How bytes are carried, others say."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from support.waiting import HANGS_S

__all__ = ["Relay", "relayed", "reset_at_close"]


@dataclass
class Relay(ABC):
    """To `target`; both ends of each connection are in `sockets`, and what carries their bytes in `threads`."""

    target: int
    listener: socket.socket
    sockets: list[socket.socket] = field(default_factory=list, kw_only=True)
    threads: list[threading.Thread] = field(default_factory=list, kw_only=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @abstractmethod
    def join(self, client: socket.socket, server: socket.socket) -> None:
        """Carry what comes, both ways, in threads of `carry`."""

    def carry(self, work: Callable[..., None], *arguments: Any) -> None:
        """In a thread that `close` waits for."""
        thread = threading.Thread(target=work, args=arguments)
        self.threads.append(thread)
        thread.start()

    def accept(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target), HANGS_S)
                server.settimeout(None)
                self.sockets += [client, server]
                self.join(client, server)

    def hang_up(self) -> None:
        """Close every connection."""
        ended, self.sockets = self.sockets, []
        for sock in ended:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        for thread in self.threads:
            thread.join()


RelayT = TypeVar("RelayT", bound=Relay)


def reset_at_close(sock: socket.socket) -> None:
    """Whoever is on the other side hears of no orderly end."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def relayed(make: Callable[[socket.socket], RelayT]) -> Iterator[RelayT]:
    """The relay on a port of its own, while it takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = make(listener)
        thread = threading.Thread(target=made.accept)
        thread.start()
        try:
            yield made
        finally:
            made.close()
            thread.join()
