from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.client import chunk
from reflex.errors import (
    STATUS_OF,
    InferenceError,
    InvalidRequestError,
    TransportError,
    UnavailableError,
    service_error,
)
from reflex.wire import error_envelope, error_from_answer, parse_act_result, parse_health, retry_after_header


@pytest.mark.parametrize("code", sorted(STATUS_OF))
def test_every_error_survives_the_way_over_the_wire(code: str) -> None:
    sent = service_error(code, "do this", request_id="r-1", context={"max_queue": 4})
    read = error_from_answer(sent.status, {}, json.dumps(error_envelope(sent)).encode())
    assert type(read) is type(sent)
    assert (read.code, read.status, read.message, read.request_id) == (code, STATUS_OF[code], "do this", "r-1")
    assert read.context == {"max_queue": 4}


def test_context_cannot_overwrite_the_envelopes_own_fields() -> None:
    error = service_error("queue_full", "later", context={"error": "other", "message": "other"})
    assert error_envelope(error, "r-2") == {"error": "queue_full", "message": "later", "request_id": "r-2"}


def test_a_code_of_a_newer_server_keeps_its_status() -> None:
    read = error_from_answer(409, {}, b'{"error": "episode_conflict", "message": "close it"}')
    assert isinstance(read, InvalidRequestError)
    assert (read.code, read.status) == ("episode_conflict", 409)


@pytest.mark.parametrize(
    "body", [b"<html>Bad Gateway</html>", b"", b"[]", b'{"detail": "x"}', b'{"error": 1}', b"\xff"]
)
def test_a_body_that_is_no_envelope_becomes_a_sensible_error(body: bytes) -> None:
    read = error_from_answer(502, {}, body)
    assert isinstance(read, InferenceError)
    assert (read.code, read.status) == ("http_502", 502)
    assert "proxy" in read.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.25", 0.25), ("0", 0.0), ("-1", None), ("nan", None), ("inf", None), ("", None),
     ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_unknown(header: str, seconds: float | None) -> None:
    read = error_from_answer(503, httpx.Headers({"retry-after": header}), b"")
    assert isinstance(read, UnavailableError)
    assert read.retry_after_s == seconds


@pytest.mark.parametrize(
    ("exact", "seconds"),
    [("0.05", 0.05), ("3", 3.0), ("null", 1.0), ('"soon"', 1.0), ("NaN", 1.0), ("-1", 1.0), ("[]", 1.0)],
)
def test_the_exact_wait_in_the_body_wins_over_the_headers_whole_seconds(exact: str, seconds: float) -> None:
    body = b'{"error": "queue_full", "message": "later", "retry_after_s": %b}' % exact.encode()
    read = error_from_answer(503, {"Retry-After": "1"}, body)
    assert read.retry_after_s == seconds
    assert read.context == {}


def test_a_huge_wait_in_the_body_is_no_crash() -> None:
    body = b'{"error": "queue_full", "message": "later", "retry_after_s": 1%b}' % (b"0" * 400)
    assert error_from_answer(503, {}, body).retry_after_s is None


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.05, "1"), (1.0, "1"), (1.2, "2")])
def test_retry_after_is_written_in_whole_seconds_and_never_too_short(seconds: float, header: str) -> None:
    assert retry_after_header(seconds) == header


@pytest.mark.parametrize(
    "actions",
    ["[[NaN]]", "[[Infinity]]", "[[1e999]]", "[[null]]", "[[true]]", '[["0"]]', "[[]]", "[]", "[0.0]", "null", "{}"],
)
def test_an_answer_without_a_finite_chunk_is_dropped(actions: str) -> None:
    with pytest.raises(TransportError, match="no finite action chunk"):
        parse_act_result(b'{"actions": %b}' % actions.encode(), "r")


def test_further_fields_of_a_newer_server_stay_in_the_answer() -> None:
    body = json.dumps(chunk([[1, 2.5]], rtc_applied=True)).encode()
    assert dict(parse_act_result(body, "r-3")) == {**chunk([[1, 2.5]]), "rtc_applied": True, "request_id": "r-3"}


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_body_breaks_the_readers(body: bytes, status: int) -> None:
    assert error_from_answer(status, {}, body).status == status
    parse_health(body)
    with pytest.raises(TransportError):
        parse_act_result(body, "r")


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(TransportError):
        parse_act_result(b"[" * 200_000, "r")


@pytest.mark.parametrize(
    "fields",
    [
        {"num_actions": 50}, {"num_actions": 1}, {"action_dim": 7}, {"action_dim": 2.5}, {"action_dim": "3"},
        {"num_actions": None}, {"num_actions": True, "actions": [[0, 0, 0]]}, {"actions": [[0, 0, 0], [0, 0]]},
        {"actions": [[0, 0, 0], []]}, {"actions": [[0, 0, 0], [0, 0, 10**400]]}, {"actions": [[0, 0, 0], [0, 0, True]]},
        {"actions": [[0, 0, 0], [0, 0, "0"]]}, {"actions": [0, 0]}, {"actions": []}, {"actions": [[], []]},
    ],
    ids=str,
)  # fmt: skip
def test_a_chunk_that_is_not_what_it_says_of_itself_is_dropped(fields: dict[str, Any]) -> None:
    body = json.dumps({"actions": [[0, 0, 0], [0, 0, 0]], "num_actions": 2, "action_dim": 3, **fields})
    with pytest.raises(TransportError, match="dropped"):
        parse_act_result(body.encode(), "r-1")


def test_counts_that_a_chunk_lacks_are_those_that_it_has() -> None:
    result = parse_act_result(b'{"actions": [[0, 1.5, -1e300], [2, 3, 4]]}', "r-1")
    assert (result["num_actions"], result["action_dim"]) == (2, 3)
