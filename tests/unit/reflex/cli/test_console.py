"""What a command says of an error, in text and as one JSON value: its own words first, and whose key is meant."""

from __future__ import annotations

import json

import pytest
import typer

from reflex.console import ADDRESS_HINT, KEY_HINT, error_as_json, reported_errors
from reflex.control.errors import KeyRejectedError
from reflex.errors import NO_SUCH_ROUTE, ReflexError, ServiceError, SetupError, UnauthorizedError, service_error


def said(error: ReflexError, *, as_json: bool, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    with pytest.raises(typer.Exit) as ended, reported_errors(as_json=as_json):
        raise error
    assert ended.value.exit_code == 1
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (UnauthorizedError("unauthorized", "send a key"), KEY_HINT),
        (KeyRejectedError("unauthorized", "send a key"), KeyRejectedError.hint),
        (service_error("not_found", NO_SUCH_ROUTE), ADDRESS_HINT),
        (service_error("not_found", "no such model"), None),
        (SetupError("port 8000 is taken"), None),
    ],
    ids=["a server's key", "a control plane's key", "another server", "another thing", "set-up"],
)
def test_the_next_thing_to_do_is_that_of_the_server_that_was_asked(error: ReflexError, hint: str | None) -> None:
    assert error_as_json(error)["hint"] == hint
    own = getattr(error, "hint", None)
    assert error_as_json(error, of_policies=False)["hint"] == own


def test_the_text_of_a_control_planes_refusal_names_no_key_of_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(UnauthorizedError("unauthorized", "send a key"), as_json=False, capsys=capsys)
    assert (out, err.splitlines()[-1]) == ("", KEY_HINT)

    out, err = said(KeyRejectedError("unauthorized", "send a key"), as_json=False, capsys=capsys)
    assert out == ""
    assert KEY_HINT not in err


def test_what_else_is_known_of_an_error_follows_what_every_error_has(capsys: pytest.CaptureFixture[str]) -> None:
    error = ServiceError("rate_limited", "slowly", request_id="r1", retry_after_s=1.23456, context={"limit_per_s": 2})
    out, err = said(error, as_json=True, capsys=capsys)

    told = json.loads(out)
    assert list(told) == ["error", "message", "hint", "request_id", "limit_per_s", "retry_after_s"]
    assert (told["error"], told["message"], told["request_id"]) == ("rate_limited", "slowly", "r1")
    assert (told["limit_per_s"], told["retry_after_s"], err) == (2, 1.235, "")


def test_what_a_server_names_like_ours_replaces_none_of_it() -> None:
    error = ServiceError("rate_limited", "slowly", context={"message": "other", "error": "other", "hint": "later"})
    told = error_as_json(error)
    assert (told["error"], told["message"], told["hint"]) == ("rate_limited", "slowly", "later")
