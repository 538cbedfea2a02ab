"""Where the server may listen, and by which names it may be called.

A web page can have its own name resolve to 127.0.0.1 and then talk to what listens there as if it were the page's own
server: DNS rebinding. Such a request carries the page's name in `Host`, so a server that answers only to names it
knows is safe. An address in `Host` is always safe: no name was resolved.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from reflex.errors import InvalidRequestError, SetupError
from reflex.wire import HOST_HEADER, raw_name

__all__ = ["AllowedHosts", "allowed_hosts", "check_bind", "is_loopback", "written_host"]

HOST: Final = raw_name(HOST_HEADER)
ANY: Final = "*"
LOCAL_NAMES: Final = ("localhost", "*.localhost")
"""Browsers resolve both to this machine and nothing else (RFC 6761, 6.3)."""
HOST_VALUE: Final = re.compile(
    r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}?)\.?)(?::\d{1,5})?", re.ASCII
)
KEPT_ANSWERS: Final = 16
"""Who asks, asks again by the same name; the names are the callers', so there is an end to how many are kept."""
HOST_PATTERN: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Names to which the server answers, in lower case; `suffixes` begin with a dot. Addresses are always allowed."""

    names: frozenset[str]
    suffixes: tuple[str, ...] = ()
    is_any: bool = False

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Look at the raw headers, names in lower case; raises `InvalidRequestError` invalid_http.

        A request without `Host` passes: a browser always sends one, simple health checks do not.
        """
        if self.is_any:
            return
        hosts = [value for name, value in headers if name == HOST]
        if hosts and (len(hosts) > 1 or not self._allows(hosts[0])):
            raise InvalidRequestError(
                "invalid_http",
                "this server does not answer to the name in the Host header; call it by its address, or start it with "
                "--allowed-hosts NAME",
            )

    @lru_cache(maxsize=KEPT_ANSWERS)  # noqa: B019 - there is one of these for as long as the process lives
    def _allows(self, host: bytes) -> bool:
        found = HOST_VALUE.fullmatch(host.decode("latin-1").lower())
        if found is None:
            return not host
        name = found["name"]
        if name is None or name in self.names:
            return True
        return name.endswith(self.suffixes) or _is_address(name)


def allowed_hosts(bound_to: str, given: tuple[str, ...] | None) -> AllowedHosts:
    """The names of `--allowed-hosts`: `gpu-box`, `*.example.org`, or `*` for all; raises `SetupError`.

    None is the default: on loopback the local names, beyond it all. There the callers' names for this machine are not
    known, and keys, which no page has, keep strange pages out.
    """
    if given is None:
        given = LOCAL_NAMES if is_loopback(bound_to) else (ANY,)
    patterns = [pattern.strip().lower().rstrip(".") for pattern in given]
    if ANY in patterns:
        return AllowedHosts(frozenset(), is_any=True)
    if not all(HOST_PATTERN.fullmatch(pattern) or _is_address(pattern.strip("[]")) for pattern in patterns):
        raise SetupError("--allowed-hosts takes names without scheme, port or path, like gpu-box,*.example.org")
    suffixes = tuple(pattern[1:] for pattern in patterns if pattern.startswith("*."))
    return AllowedHosts(frozenset(pattern for pattern in patterns if not pattern.startswith("*.")), suffixes)


def written_host(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The one `Host` of the raw headers, where it is a name or an address with or without a port."""
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == HOST]
    return hosts[0] if len(hosts) == 1 and HOST_VALUE.fullmatch(hosts[0]) else None


def check_bind(host: str, *, has_keys: bool, insecure: bool) -> None:
    """Raises `SetupError` for an address that others reach, when nothing would ask them who they are."""
    if has_keys or insecure or is_loopback(host):
        return
    raise SetupError(
        f"--host {host} lets others on the network in, and without keys any of them could move the robot. Give "
        "--api-keys FILE (`reflex keys new --name NAME --file FILE` makes one) or --sessions-from URL; or --insecure, "
        "if the network itself keeps strangers out, or a proxy in front asks for keys"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`. A name other than localhost may be anything, so it is not."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
