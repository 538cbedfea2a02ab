"""In which form a request is read and its answer written, by the headers."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex_frontend.http.form import Form, form_of

PACKED = "application/msgpack"


def headers(content_type: str | None = None, accept: str | None = None, **more: str) -> dict[bytes, str]:
    given = {"content-type": content_type, "accept": accept, **more}
    return {name.replace("_", "-").encode(): value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(
    ("content_type", "accept", "form"),
    [
        (None, None, (False, False)),
        ("application/json", "*/*", (False, False)),
        ("application/json", "text/html,application/xhtml+xml,*/*;q=0.8", (False, False)),
        ("application/json", PACKED, (False, True)),
        ("application/json; charset=utf-8", f"application/json, {PACKED}", (False, False)),
        (PACKED, None, (True, True)),
        (PACKED, "*/*", (True, True)),
        ("Application/X-MsgPack ; x=y", None, (True, True)),
        ("application/vnd.msgpack", "application/json", (True, False)),
        (PACKED, f"application/json;q=0.5, {PACKED}", (True, True)),
        (PACKED, "text/html", (True, True)),
    ],
)
def test_an_answer_is_written_as_its_request_unless_the_other_form_alone_is_accepted(
    content_type: str | None, accept: str | None, form: tuple[bool, bool]
) -> None:
    assert form_of(headers(content_type, accept)) == Form(*form)


@pytest.mark.parametrize(
    "given",
    [
        headers("text/plain"),
        headers("application/json; charset=latin-1"),
        headers("application/cbor"),
        headers(PACKED, content_encoding="gzip"),
        headers(origin="http://localhost"),
    ],
)
def test_other_forms_are_415(given: dict[bytes, str]) -> None:
    with pytest.raises(ServiceError) as caught:
        form_of(given)
    assert caught.value.status == 415
