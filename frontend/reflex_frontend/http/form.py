"""JSON or msgpack: in which form a request of /act comes, and in which its answer goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from reflex.wire import (
    ACCEPT_HEADER,
    CONTENT_ENCODING_HEADER,
    CONTENT_TYPE_HEADER,
    ORIGIN_HEADER,
    raw_name,
)
from reflex.wire.arrays import PLAIN, Dialect
from reflex_frontend.act.answer import JSON, MSGPACK, packed_body
from reflex_frontend.act.answer import act_body as json_body
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observation.request import refuse

__all__ = ["CONTENT_TYPE", "Answering", "Form", "Headers", "form_of"]

Headers = Mapping[bytes, str]
"""By name in lower case; of a repeated one the last."""

ACCEPT: Final = raw_name(ACCEPT_HEADER)
CONTENT_ENCODING: Final = raw_name(CONTENT_ENCODING_HEADER)
CONTENT_TYPE: Final = raw_name(CONTENT_TYPE_HEADER)
ORIGIN: Final = raw_name(ORIGIN_HEADER)
PACKED_TYPES: Final = frozenset({MSGPACK, "application/x-msgpack", "application/vnd.msgpack"})
"""The registered name (IANA, 2024: vnd.msgpack), and those that programs send."""


class Answering(Protocol):
    """What has an answer to a body, as `ActService` has; each method raises `ServiceError` where there is none."""

    async def answer(self, body: bytes | bytearray, exchange: Exchange) -> bytes: ...

    async def answer_parsed(self, body: bytes | bytearray, exchange: Exchange) -> Mapping[str, object]: ...

    async def answer_packed(
        self, body: bytes | bytearray, exchange: Exchange
    ) -> tuple[Mapping[str, object], Dialect | None]: ...


@dataclass(frozen=True, slots=True)
class Form:
    """Of one request."""

    is_packed: bool
    wants_packed: bool

    async def answer(self, service: Answering, body: bytes | bytearray, exchange: Exchange) -> tuple[bytes, str]:
        """The body of the 200, and its media type; raises like `ActService.answer`."""
        if not self.is_packed and not self.wants_packed:
            return await service.answer(body, exchange), JSON
        if not self.is_packed:
            return packed_body(await service.answer_parsed(body, exchange), PLAIN), MSGPACK
        result, dialect = await service.answer_packed(body, exchange)
        return (packed_body(result, dialect or PLAIN), MSGPACK) if self.wants_packed else (json_body(result), JSON)


PLAIN_JSON: Final = Form(is_packed=False, wants_packed=False)


def form_of(headers: Headers) -> Form:
    """By its headers; raises `ServiceError` unsupported_media_type. An answer is written as its request was.

    Unless `Accept` names one of the two and not the other.
    """
    is_packed = _is_packed(headers)
    if headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
        raise refuse("unsupported_media_type", "send the body uncompressed")
    accept = headers.get(ACCEPT)
    if accept is None or accept == "*/*":
        return Form(is_packed, is_packed) if is_packed else PLAIN_JSON
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if accepted.isdisjoint(PACKED_TYPES):
        return Form(is_packed, is_packed and JSON not in accepted)
    return Form(is_packed, is_packed or JSON not in accepted)


def _is_packed(headers: Headers) -> bool:
    if ORIGIN in headers and CONTENT_TYPE not in headers:
        # A page may send bytes without a type to anybody, and no preflight asks us first.
        raise refuse("unsupported_media_type", "a web page must send its request as application/json")
    media_type, _, parameters = headers.get(CONTENT_TYPE, JSON).partition(";")
    kind = media_type.strip().lower()
    if kind in PACKED_TYPES:
        return True
    charset = parameters.strip().lower().replace('"', "")
    if not (kind == JSON or kind.endswith("+json")) or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise refuse(
            "unsupported_media_type",
            "send application/json in UTF-8 (curl: -H 'Content-Type: application/json'), or application/msgpack",
        )
    return False
