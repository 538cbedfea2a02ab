from __future__ import annotations

from urllib.parse import quote

import grpc
import pytest

from reflex_frontend.triton.http2.status import call_error, of_fields, of_reset


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("text", ["", "the queue is full", "ein Fühler, 50 %\n", "a b"])
def test_an_error_of_grpc_is_that_error_with_its_text(code: grpc.StatusCode, text: str) -> None:
    error = of_fields({"grpc-status": str(code.value[0]), "grpc-message": quote(text)})
    assert error is not None
    assert (error.code(), error.details()) == (code, text)


def test_a_call_that_went_well_has_no_error() -> None:
    assert of_fields({"grpc-status": "0", "grpc-message": ""}) is None


@pytest.mark.parametrize("status", ["17", "-1", "zero", "²", "0x0", "99999999999999999999"])
def test_a_status_that_grpc_does_not_have_is_unknown(status: str) -> None:
    error = of_fields({"grpc-status": status})
    assert error is not None
    assert error.code() is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize(
    ("http", "code"),
    [
        ("503", grpc.StatusCode.UNAVAILABLE), ("502", grpc.StatusCode.UNAVAILABLE),
        ("404", grpc.StatusCode.UNIMPLEMENTED), ("401", grpc.StatusCode.UNAUTHENTICATED),
        ("200", grpc.StatusCode.UNKNOWN), ("500", grpc.StatusCode.UNKNOWN),
    ],
)  # fmt: skip
def test_an_answer_of_something_without_grpc_is_told_by_its_http_status(http: str, code: grpc.StatusCode) -> None:
    error = of_fields({":status": http})
    assert error is not None
    assert error.code() is code
    assert f"HTTP {http}" in (error.details() or "")


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (0, grpc.StatusCode.INTERNAL), (2, grpc.StatusCode.INTERNAL), (7, grpc.StatusCode.UNAVAILABLE),
        (8, grpc.StatusCode.CANCELLED),
        (11, grpc.StatusCode.RESOURCE_EXHAUSTED), (12, grpc.StatusCode.PERMISSION_DENIED),
        (99, grpc.StatusCode.INTERNAL),
    ],
)  # fmt: skip
def test_a_call_that_was_reset_says_with_which_error(reset: int, code: grpc.StatusCode) -> None:
    assert of_reset(reset).code() is code
    assert str(reset) in (of_reset(reset).details() or "")


def test_the_error_is_that_of_grpcs_own_client() -> None:
    error = call_error(grpc.StatusCode.UNAVAILABLE, "gone")
    assert isinstance(error, grpc.aio.AioRpcError)
    assert "UNAVAILABLE" in str(error)
