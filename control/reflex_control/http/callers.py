"""Who asks without a key, and by which address the server is known to them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from reflex.serving.hosts import written_host
from reflex_control.rate_limits import RateLimits
from reflex_control.settings import Network, Settings

__all__ = ["Callers", "new_public_limits"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_RATE_PER_S: Final[float] = Settings.model_fields["public_rate_limit"].default
V6_PREFIX: Final = 64
"""One network of a customer; each machine in it picks as many addresses as it likes."""
FORWARDED_FOR: Final = "x-forwarded-for"
FORWARDED_PROTO: Final = "x-forwarded-proto"


def new_public_limits(rate_per_s: float = DEFAULT_RATE_PER_S) -> RateLimits:
    """How much each address may ask without a key."""
    return RateLimits(rate_per_s, refusal="this address has used up its requests without a key; wait for Retry-After")


@dataclass(frozen=True)
class Callers:
    """What is believed of a request. Headers of a proxy count only from `trusted` addresses: anybody can send them."""

    limits: RateLimits = field(default_factory=new_public_limits)
    trusted: tuple[Network, ...] = ()
    public_url: str | None = None

    def admit(self, request: Request) -> None:
        """`ServiceError` 429 for an address that asks too much."""
        self.limits.take(self.address_of(request))

    def address_of(self, request: Request) -> str:
        """The caller's address, of IPv6 its network; behind trusted proxies the nearest that is none of them."""
        found = _address(request.client.host if request.client else "")
        for hop in map(_address, _hops(request)):
            if found is None or hop is None or not self._trusts(found):
                break
            found = hop
        return _counted(found)

    def origin_of(self, request: Request) -> str:
        """The URL under which pages are reached: the one of the settings, else what the request was sent to."""
        if self.public_url is not None:
            return self.public_url
        host = written_host(request.scope["headers"])
        if host is None:
            name, port = request.scope.get("server") or ("localhost", None)
            host = (f"[{name}]" if ":" in name else name) + (f":{port}" if port else "")
        return f"{self._scheme_of(request)}://{host}"

    def _scheme_of(self, request: Request) -> str:
        peer = _address(request.client.host if request.client else "")
        is_told = peer is not None and self._trusts(peer)
        return "https" if is_told and request.headers.get(FORWARDED_PROTO) == "https" else "http"

    def _trusts(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.trusted)


def _hops(request: Request) -> Iterable[str]:
    """From the nearest on: each proxy appends whom it was asked by."""
    told = ",".join(request.headers.getlist(FORWARDED_FOR))
    return [hop.strip() for hop in reversed(told.split(","))] if told else []


def _address(text: str) -> Address | None:
    """Some proxies write the port down, too."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _counted(address: Address | None) -> str:
    if address is None:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), V6_PREFIX), strict=False))
    return str(address)
