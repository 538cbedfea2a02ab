"""Who sees what was answered, after the fact: a recording, a shadow policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from reflex.errors import ServiceError
from reflex.wire import ObserversHealth
from reflex_frontend.exchange.exchange import Exchange

__all__ = ["Observer"]


class Observer(Protocol):
    """Is told of every exchange. Costs microseconds, and never raises."""

    def note(self, exchange: Exchange, error: ServiceError | None) -> None: ...
    def health(self) -> ObserversHealth:
        """What /health says about it; nothing when all is well."""
        ...

    def gauges(self) -> Mapping[str, float]:
        """The present values of its gauges, by the names that they have in `Metrics`."""
        ...
