"""Which addresses a server asks for others. Loopback and private networks are where robots live, so they are.

Link-local addresses hold the metadata services of clouds (RFC 3927, RFC 4291), others stand for no one host. An IPv6
address that carries an IPv4 address (RFC 4291, 6052, 8215, 3056, 4380, 5214) is as good as that one.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from reflex.errors import SetupError, TransportError

__all__ = ["MAX_ADDRESSES", "refusal_of", "resolve"]

Address = IPv4Address | IPv6Address

MAX_ADDRESSES: Final = 16
"""Of one name."""
MAX_WAITING: Final = 64
"""Names that are being looked up at once: a name server that is silent holds a thread for many seconds."""
_waiting = threading.BoundedSemaphore(MAX_WAITING)

_METADATA: Final = frozenset(
    ip_address(text) for text in ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
"""Of clouds that keep them outside link-local: Azure, Alibaba, Oracle, AWS and Google over IPv6."""
_NOWHERE: Final = (IPv4Network("0.0.0.0/8"), IPv4Network("240.0.0.0/4"))
_LAST_32_BITS: Final = (
    IPv6Network("::ffff:0:0/96"), IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
)  # fmt: skip
"""IPv4-mapped, IPv4-compatible, IPv4-translated, and NAT64 (RFC 6052)."""
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
"""Where in it the IPv4 address stands is each network's own choice (RFC 8215)."""
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)


def refusal_of(address: str) -> str | None:
    """Why this address is not asked, in half a sentence; None for one that is."""
    try:
        found = ip_address(address)
    except ValueError:
        return "it is no address of one host"
    return next((reason for each in (found, *_carried(found)) if (reason := _reason(each)) is not None), None)


def resolve(host: str, port: int, ends_s: float) -> list[str]:
    """The addresses of a host, all of them fit to be asked, by the moment `ends_s` on the monotonic clock.

    `SetupError` when one of them is refused, however the host spells it; `TransportError` when there is none in time.
    """
    found = list(dict.fromkeys(_looked_up(host, port, ends_s)))
    if len(found) > MAX_ADDRESSES:
        raise SetupError(f"{host} has more than {MAX_ADDRESSES} addresses, which is no one server; name one of them")
    for address in found:
        reason = refusal_of(address)
        if reason is not None:
            shown = host if address == host else f"{host}, that is {address},"
            raise SetupError(f"{shown} is not asked: {reason}; name the address of a server")
    return found


def _looked_up(host: str, port: int, ends_s: float) -> list[str]:
    """In a thread of its own: nothing bounds the time that the system's resolver takes."""
    found: list[str] = []
    wrong: list[str] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            wrong.append(exc.strerror or "" if isinstance(exc, OSError) else "")
        finally:
            _waiting.release()
            done.set()

    if not _waiting.acquire(timeout=max(0.0, ends_s - time.monotonic())):
        raise TransportError("too many names are being looked up; try again")
    _start(look_up)
    if not done.wait(max(0.0, ends_s - time.monotonic())):
        raise TransportError(f"the name {host} was not resolved in time")
    if not found:
        raise TransportError(f"the name {host} does not resolve{f' ({wrong[0]})' if wrong and wrong[0] else ''}")
    return found


def _start(look_up: Callable[[], None]) -> None:
    try:
        threading.Thread(target=look_up, name="reflex-resolve", daemon=True).start()
    except RuntimeError as exc:
        _waiting.release()
        raise TransportError("no thread is left to look a name up; try again") from exc


def _carried(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address may stand for."""
    if isinstance(address, IPv4Address) or address.is_loopback:
        return
    value = int(address)
    if any(address in network for network in _LAST_32_BITS):
        yield IPv4Address(value & 0xFFFF_FFFF)
    if (value >> 32) & 0xFFFF_FFFF in _ISATAP:
        yield IPv4Address(value & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _reason(address: Address) -> str | None:
    if address in _METADATA:
        return "it is a cloud's metadata service"
    if address.is_link_local or (isinstance(address, IPv6Address) and address.is_site_local):
        return "it is link-local, where clouds keep their metadata service"
    if address in _LOCAL_NAT64:
        return "it is translated to an IPv4 address that nobody knows here"
    if address.is_multicast:
        return "it is multicast, which is no one server"
    if address.is_unspecified or (isinstance(address, IPv4Address) and any(address in each for each in _NOWHERE)):
        return "it stands for no server"
    return None
