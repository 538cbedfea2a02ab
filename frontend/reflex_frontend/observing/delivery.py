"""Whether the spans of requests reach their collector: said in the log when that changes, and not at each try.

OpenTelemetry tries a batch for as long as its time-out, ten seconds, before it gives it up, and then the next: an
operator would learn late that the address is wrong, and then with every batch. What is heard here is each attempt.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import requests

__all__ = ["Delivery", "HeardSession"]

UNLUCKY: Final = 2
"""Attempts in a row. One may have met a connection that the collector just closed, and is repeated at once."""

log = logging.getLogger("reflex.traces")


class Delivery:
    """What is known of the way to the collector at `url`. The thread that sends is the only one to tell it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._failed_in_a_row = 0
        self._why = "they could not be sent"
        self._is_interrupted = False

    def attempt_failed(self, why: str) -> None:
        """OpenTelemetry may try again."""
        self._why = why
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= UNLUCKY:
            self._say_interrupted()

    def given_up(self) -> None:
        """A batch is lost."""
        self._say_interrupted()

    def arrived(self, dropped: int) -> None:
        """A batch has been taken; `dropped` requests have been lost so far."""
        self._failed_in_a_row = 0
        if self._is_interrupted:
            self._is_interrupted = False
            log.warning("traces reach the collector at %s again", self._url, extra={"dropped_so_far": dropped})

    def _say_interrupted(self) -> None:
        if self._is_interrupted:
            return
        self._is_interrupted = True
        log.error(
            "traces do not reach the collector at %s: %s; start it, or put --otel-endpoint right "
            "(reflex_traces_dropped counts the requests that are lost)",
            self._url,
            self._why,
        )


class HeardSession(requests.Session):
    """Tells `delivery` of every attempt that fails."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self._delivery = delivery

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - its own
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as exc:
            self._delivery.attempt_failed(_in_words(exc))
            raise
        if not response.ok:
            self._delivery.attempt_failed(f"it answers {response.status_code} {response.reason}".rstrip())
        return response


def _in_words(error: BaseException) -> str:
    """What the system said; requests and urllib3 wrap it several times, in many words."""
    if isinstance(error, requests.Timeout):
        return "it does not answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
