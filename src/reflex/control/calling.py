"""What both clients do beside waiting: make a plan of an `Ask`, read its answer, and tell errors in our words."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from reflex.client.call import Answer, CallPlan
from reflex.client.http import checked_deadline_s, checked_url
from reflex.control.ask import Ask
from reflex.control.errors import MissingKeyError, in_words_of_the_control_plane, of_another_server, unreachable
from reflex.errors import NO_SUCH_ROUTE, ServiceError, TransportError

__all__ = ["DEFAULT_DEADLINE_S", "DEFAULT_URL", "Calling", "looks_like_a_method_of"]

DEFAULT_URL: Final = "http://127.0.0.1:8100"
DEFAULT_DEADLINE_S: Final = 30.0
"""A doctor asks frontends that may be far away."""
ROUTES: Final = ("/v1", "/health", "/metrics", "/openapi.json")

ResultT = TypeVar("ResultT")
MethodT = TypeVar("MethodT", bound=Callable[..., Any])

logger = logging.getLogger(__name__)


class Calling:
    """One control plane, as one key sees it."""

    def __init__(self, backend_url: str, api_key: str | None, deadline_s: float) -> None:
        self.base_url = checked_url(backend_url, example=DEFAULT_URL, routes=ROUTES)
        self._api_key = None if api_key is None else _sendable(api_key)
        self._deadline_s = checked_deadline_s(deadline_s)

    @property
    def key(self) -> str:
        """`MissingKeyError` where there is none."""
        if self._api_key is None:
            raise MissingKeyError
        return self._api_key

    def plan_of(self, ask: Ask[ResultT]) -> CallPlan:
        """`MissingKeyError` where the operation needs a key and there is none."""
        if ask.needs_key and self._api_key is None:
            raise MissingKeyError
        call = ask.as_call(self._api_key if ask.needs_key else None)
        return CallPlan(call, started_s=time.monotonic(), deadline_s=self._deadline_s, clock=time.monotonic)

    def result_of(self, ask: Ask[ResultT], answer: Answer) -> ResultT:
        return ask.result_of(answer)

    @contextmanager
    def in_our_words(self, ask: Ask[ResultT]) -> Iterator[None]:
        """The one place where errors of the wire become those of `reflex.control.errors`."""
        asked = f"{ask.method} {ask.path.partition('?')[0]}"
        try:
            yield
        except ServiceError as exc:
            logger.debug("%s: %d %s, request %s", asked, exc.status, exc.code, exc.request_id)
            if exc.message == NO_SUCH_ROUTE:
                raise of_another_server(self.base_url) from exc
            raise in_words_of_the_control_plane(exc, with_key=ask.needs_key) from exc
        except TransportError as exc:
            if isinstance(exc.__cause__, ServiceError):  # it was told to wait until there was no time left
                raise in_words_of_the_control_plane(exc.__cause__, with_key=ask.needs_key) from exc
            raise unreachable(self.base_url, asked, self._deadline_s, exc) from exc


def looks_like_a_method_of(ask: Callable[..., object]) -> Callable[[MethodT], MethodT]:
    """Give a method the name, the words and the arguments of the operation that it sends."""

    def changed(method: MethodT) -> MethodT:
        signature = inspect.signature(ask)
        client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        vars(method)["__signature__"] = signature.replace(parameters=[client, *signature.parameters.values()])
        method.__name__, method.__doc__ = ask.__name__, ask.__doc__
        return method

    return changed


def _sendable(api_key: str) -> str:
    """Whether it is a key says the control plane, and nothing of it is repeated here."""
    if api_key and api_key.isascii() and api_key.isprintable() and " " not in api_key:
        return api_key
    raise MissingKeyError("API key is required, and the one that was given holds characters that no key has: "
                          "copy it whole. Run 'reflex login' or set REFLEX_API_KEY.")  # fmt: skip
