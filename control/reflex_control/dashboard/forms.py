"""What a browser sends with a form: fields, each once, from a page of this dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from reflex.errors import ServiceError, service_error
from reflex_control.http.reading import read_body

__all__ = ["EMPTY", "Form", "check_origin", "form_of", "read_form"]

MEDIA_TYPES: Final = ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=utf-8")
MAX_FIELDS: Final = 64
OWN_ORIGIN: Final = "same-origin"
NO_ORIGIN: Final = "null"
"""What a page says whose policy is no-referrer, as ours is, and a page in a sandbox, as a stranger's may be."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields in their order."""

    fields: Sequence[tuple[str, str]] = ()

    def text(self, name: str) -> str:
        """Without spaces around it; empty where there is none. `ServiceError` when there are several."""
        found = self.several(name)
        if len(found) > 1:
            raise service_error("invalid_value", f"{name} came more than once", context={"field": name})
        return found[0].strip() if found else ""

    def optional(self, name: str) -> str | None:
        """None for a field that was left empty."""
        return self.text(name) or None

    def several(self, name: str) -> list[str]:
        """The values of all boxes of this name that were ticked."""
        return [value for each, value in self.fields if each == name]


EMPTY: Final = Form()


async def read_form(request: Request) -> Form:
    """The form; `ServiceError` for a body that is none."""
    return form_of(await read_body(request, media_types=MEDIA_TYPES))


def form_of(body: bytes) -> Form:
    """The fields of a body; `ServiceError` 400."""
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=MAX_FIELDS,
        )  # fmt: skip
    except ValueError as exc:
        raise service_error("invalid_value", "this is no form that a browser sends") from exc
    return Form(fields)


def check_origin(headers: Iterable[tuple[bytes, bytes]], own: str) -> None:
    """`ServiceError` 403 for a form that another site sent: by Sec-Fetch-Site, and by Origin beside Host or `own`.

    A browser sends Sec-Fetch-Site over https and to this machine. Over plain http to another one it does not, and says
    `null` as its origin: then the form's token and the cookie, which is for this site alone, have to do.
    """
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    site, origin = given.get("sec-fetch-site", OWN_ORIGIN), given.get("origin")
    if site != OWN_ORIGIN or origin is None:
        raise _foreign()
    if origin != NO_ORIGIN and _place_of(origin) not in {given.get("host", "").lower(), _place_of(own)}:
        raise _foreign()


def _place_of(origin: str) -> str:
    """Host and port, written as in Host. A proxy may have taken the https off, so the scheme says nothing here."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _foreign() -> ServiceError:
    return service_error("forbidden", "this form was sent by another site, not by a page of this dashboard")
