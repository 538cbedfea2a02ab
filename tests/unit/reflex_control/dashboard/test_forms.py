"""A form is read strictly, and only from a page of this dashboard."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex_control.dashboard.forms import check_origin, form_of

OWN = "http://lab.example:8100"
HOST = (b"host", b"lab.example:8100")


def test_fields_are_read_once_each_and_boxes_as_often_as_they_were_ticked() -> None:
    form = form_of(b"name=%20arm+1%20&scopes=read&scopes=write&note=")

    assert (form.text("name"), form.several("scopes"), form.optional("note"), form.text("none")) == (
        "arm 1", ["read", "write"], None, "",
    )  # fmt: skip
    with pytest.raises(ServiceError, match="more than once"):
        form.text("scopes")


def test_an_empty_form_has_no_field() -> None:
    assert form_of(b"").fields == []


def test_a_form_has_as_many_fields_as_any_page_of_ours_and_no_more() -> None:
    assert len(form_of(b"a=1&" * 63 + b"a=1").several("a")) == 64


@pytest.mark.parametrize("body", [b"a", b"a=%ff", b"a=%ed%a0%80", "a=\xe9".encode("latin-1"), b"a=1&" * 64 + b"a=1"])
def test_what_no_browser_sends_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as refused:
        form_of(body)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, (b"origin", OWN.encode())],
        [(b"host", b"LAB.example:8100"), (b"origin", OWN.encode()), (b"sec-fetch-site", b"same-origin")],
        [HOST, (b"origin", b"null"), (b"sec-fetch-site", b"same-origin")],
        [HOST, (b"origin", b"https://lab.example:8100")],  # a proxy took the https off
        [(b"host", b"inside:8100"), (b"origin", OWN.encode())],  # a proxy wrote its own name for the server
    ],
)
def test_a_form_of_ones_own_page_is_taken(headers: list[tuple[bytes, bytes]]) -> None:
    check_origin(headers, OWN)


@pytest.mark.parametrize(
    "headers",
    [
        [HOST],
        [HOST, (b"origin", b"https://evil.example")],
        [HOST, (b"origin", b"http://lab.example:8101")],
        [HOST, (b"origin", b"http://[")],
        [HOST, (b"origin", OWN.encode()), (b"sec-fetch-site", b"cross-site")],
        [HOST, (b"origin", b"null"), (b"sec-fetch-site", b"same-site")],
        [HOST, (b"origin", b"null"), (b"sec-fetch-site", b"none")],
    ],
)
def test_another_sites_form_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ServiceError, match="sent by another site") as refused:
        check_origin(headers, OWN)
    assert refused.value.status == 403
