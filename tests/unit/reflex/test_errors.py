"""The one tree of errors: what each code means to whoever catches it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from reflex import errors
from reflex.errors import STATUS_OF, ReflexError, ServiceError, service_error


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from descendants(child)


@pytest.mark.parametrize("code", sorted(STATUS_OF))
def test_every_code_has_its_status_and_only_429_and_503_are_worth_a_retry(code: str) -> None:
    error = service_error(code, "do this")
    assert error.status == STATUS_OF[code]
    assert error.retryable == (error.status in (429, 503))
    assert str(error) == f"{code}: do this"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "InvalidRequestError"), (404, "InvalidRequestError"), (405, "InvalidRequestError"),
        (413, "InvalidRequestError"), (415, "InvalidRequestError"), (422, "InvalidRequestError"),
        (418, "InvalidRequestError"), (401, "UnauthorizedError"), (403, "UnauthorizedError"),
        (429, "RateLimitedError"), (500, "InferenceError"), (502, "InferenceError"), (503, "UnavailableError"),
        (504, "DeadlineExceededError"),
    ],
)  # fmt: skip
def test_the_status_decides_the_class_even_of_a_code_that_is_not_known_yet(status: int, kind: str) -> None:
    error = service_error("some_new_code", "do this", status=status)
    assert type(error).__name__ == kind
    assert error.status == status


def test_an_unknown_code_without_a_status_is_a_fault_of_the_server() -> None:
    assert service_error("some_new_code", "do this").status == 500


def test_context_is_a_copy() -> None:
    context = {"limit": 5}
    error = service_error("payload_too_large", "smaller", context=context)
    context["limit"] = 6
    assert error.context == {"limit": 5}


def test_one_except_catches_everything_that_is_raised_on_purpose() -> None:
    assert all(issubclass(kind, ReflexError) for kind in descendants(ReflexError))
    assert not issubclass(ReflexError, ValueError)


def test_an_error_survives_the_way_to_another_process() -> None:
    error = service_error("queue_full", "wait", request_id="r", retry_after_s=2.0, context={"max_queue": 3})
    twin: ServiceError = copy.copy(error)  # by the same protocol as pickling
    assert type(twin) is type(error)
    assert (twin.code, twin.message, twin.status, twin.request_id) == ("queue_full", "wait", 503, "r")
    assert (twin.retry_after_s, twin.context) == (2.0, {"max_queue": 3})
